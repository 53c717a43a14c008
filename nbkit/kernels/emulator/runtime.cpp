// Runs a kernel on one CPU thread: each CUDA thread is a fiber that runs until it has to wait. Who goes on is drawn
// from a seed, a warp at a time and for as long as it can, which is as unfair as a GPU may be. The kernel's code is
// compiled with -fsanitize=thread, which calls the functions __tsan_* below before it reads or writes memory.
#include "runtime.hpp"

#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if !defined(__x86_64__) || defined(NB_UCONTEXT)
#include <ucontext.h>
#endif

#include "shadow.hpp"

namespace nb {
namespace {

constexpr size_t STACK = 64 << 10, PAGE = 4 << 10, GAP = 4 << 10;
constexpr unsigned MOST_ALIVE = 24000;  // threads; the system allows about 65,000 mappings, a stack takes two

struct Rendezvous {  // lanes of one warp at one operation
    explicit Rendezvous(uint32_t mask) : mask(mask) {}
    uint32_t mask, arrived = 0;
    const char* name = "";
    int line = 0;
    uint64_t value[32];
    int source[32];
};

struct Fiber;
struct Block;
struct Warp {
    Block* block;
    uint32_t present = 0, ready = 0, ended = 0;  // lanes
    bool listed = false;                         // among those who can run
    Fiber* lanes[32] = {};
    std::deque<Rendezvous> meetings;
};

struct Fiber {
    Warp* warp;
    int lane;
    dim3 thread;
    Clock clock;
    uintptr_t stack;
    uint64_t result = 0;
    const char* waits = "";  // in what, for reports
    int line = 0;
    void* place = nullptr;   // the instruction, where there is no line
    bool done = false;
#if defined(__x86_64__) && !defined(NB_UCONTEXT)
    void* context = nullptr;
#else
    ucontext_t context;
#endif
};

struct Block {
    dim3 index;
    std::vector<Fiber> fibers;
    std::vector<Warp> warps;
    unsigned arrived = 0, ended = 0;
    int count = 0, result = 0;
    const char* name = "";
    int line = 0;
    SharedMemory shared;
    std::vector<std::tuple<const void*, void*>> declared;
};

struct Range {
    uintptr_t start;
    uint64_t bytes;
    const Array* array;
};

struct Machine {
    Launch* launch;
    void (*enter)(void**);
    void** arguments;
    std::vector<std::unique_ptr<Block>> blocks;  // those that are alive
    std::vector<Warp*> runnable;
    std::vector<Range> ranges;
    size_t last = 0;                             // the range that was found last
    uintptr_t image = 0, image_end = 0;          // the library itself: constants and __device__ variables
    unsigned alive = 0, at_grid_barrier = 0;
    uint64_t random, polls = 0;                  // polls: reads that may wait for something, since anything changed
    bool failed = false, paused = false;
#if defined(__x86_64__) && !defined(NB_UCONTEXT)
    void* scheduler = nullptr;
#else
    ucontext_t scheduler;
#endif
};

Machine* machine = nullptr;
Fiber* current = nullptr;

// from one fiber to another
#if defined(__x86_64__) && !defined(NB_UCONTEXT)
extern "C" void nb_switch(void** from, void* to);
asm(R"(
    .text
    .p2align 4
    .type nb_switch, @function
nb_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size nb_switch, .-nb_switch
)");
void resume(Fiber& fiber) { nb_switch(&machine->scheduler, fiber.context); }
void suspend() { nb_switch(&current->context, machine->scheduler); }
void prepare(Fiber& fiber, void (*start)()) {
    void** top = reinterpret_cast<void**>(fiber.stack + STACK);
    top[-2] = reinterpret_cast<void*>(start);  // what `ret` takes, behind six registers
    fiber.context = top - 8;
}
#else
void resume(Fiber& fiber) { swapcontext(&machine->scheduler, &fiber.context); }
void suspend() { swapcontext(&current->context, &machine->scheduler); }
void prepare(Fiber& fiber, void (*start)()) {
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = reinterpret_cast<void*>(fiber.stack);
    fiber.context.uc_stack.ss_size = STACK;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, start, 0);
}
#endif

uintptr_t stack(size_t number) {  // kept from launch to launch; a page below each may not be touched
    static std::vector<uintptr_t> all;
    while (all.size() <= number) {
        void* place = mmap(nullptr, STACK + PAGE, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        mprotect(place, PAGE, PROT_NONE);
        all.push_back(reinterpret_cast<uintptr_t>(place) + PAGE);
    }
    return all[number];
}

unsigned draw(unsigned below) {
    machine->random += 0x9E3779B97F4A7C15u;
    uint64_t mixed = (machine->random ^ machine->random >> 30) * 0xBF58476D1CE4E5B9u;
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EBu;
    return (mixed >> 32) * below >> 32;
}

std::string at(dim3 place) {
    char text[64];
    snprintf(text, sizeof text, "(%u, %u, %u)", place.x, place.y, place.z);
    return text;
}

std::string who(const Fiber& fiber) { return "thread " + at(fiber.thread) + " of block " + at(fiber.warp->block->index); }

void tell(const std::string& text, void* place = nullptr) {
    Launch& launch = *machine->launch;
    if (machine->failed) return;
    machine->failed = true;
    snprintf(launch.report, launch.report_bytes, "%s", text.c_str());
    Dl_info library;
    if (place && dladdr(place, &library))
        launch.place = uintptr_t(place) - 1 - uintptr_t(library.dli_fbase);
}

[[noreturn]] void fail(const std::string& text, void* place = nullptr) {
    tell(text, place);
    for (;;) suspend();
}

std::string line_of(const char* name, int line) { return std::string(name) + " in line " + std::to_string(line); }

void make_ready(Fiber& fiber) {
    Warp& warp = *fiber.warp;
    warp.ready |= 1u << fiber.lane;
    if (!warp.listed) machine->runnable.push_back(&warp);
    warp.listed = true;
}

void wait(const char* name, int line) {
    current->waits = name;
    current->line = line;
    current->warp->ready &= ~(1u << current->lane);
    suspend();
}

void run_fiber() {
    machine->enter(machine->arguments);
    Fiber& fiber = *current;
    Warp& warp = *fiber.warp;
    Block& block = *warp.block;
    uint32_t bit = 1u << fiber.lane;
    if (block.arrived)
        fail("divergence: " + who(fiber) + " ends, others wait for it at " + line_of(block.name, block.line));
    for (auto& meeting : warp.meetings)
        if (meeting.arrived && meeting.mask & bit)
            fail("divergence: " + who(fiber) + " ends, others wait for it at " + line_of(meeting.name, meeting.line));
    fiber.done = true;
    warp.ended |= bit;
    warp.ready &= ~bit;
    block.ended++;
    machine->alive--;
    machine->polls = 0;
    for (;;) suspend();
}

void start(dim3 index, size_t& stacks) {
    const Launch& launch = *machine->launch;
    unsigned width = launch.block[0], height = launch.block[1], threads = width * height * launch.block[2];
    auto block = std::make_unique<Block>();
    block->index = index;
    block->fibers.resize(threads);
    block->warps.resize((threads + 31) / 32);
    if (!block->shared.add(launch.shared_bytes))
        return tell("limits: wanted at most 227 KB of shared memory in a block; use less");
    for (unsigned t = 0; t < threads; ++t) {
        Fiber& fiber = block->fibers[t];
        Warp& warp = block->warps[t / 32];
        warp.block = block.get();
        warp.lanes[t % 32] = &fiber;
        warp.present |= 1u << (t % 32);
        fiber.warp = &warp;
        fiber.lane = t % 32;
        fiber.clock.thread = t;
        fiber.thread = dim3(t % width, t / width % height, t / (width * height));
        fiber.stack = stack(stacks++);
        prepare(fiber, run_fiber);
        make_ready(fiber);
    }
    machine->alive += threads;
    machine->blocks.push_back(std::move(block));
}

void tell_deadlock(const char* kind, const char* hint) {
    std::map<std::string, std::pair<int, const Fiber*>> places;  // each place where threads wait
    void* polled = nullptr;
    for (auto& block : machine->blocks)
        for (auto& fiber : block->fibers)
            if (!fiber.done) {
                auto& place = places[line_of(fiber.waits, fiber.line)];
                if (!place.first++) place.second = &fiber;
                if (!fiber.line) polled = fiber.place;
            }
    std::string text = std::string(kind) + ": nobody can go on" + hint;
    for (auto& [name, place] : places) {
        if (text.size() > 600) break;
        text += "; " + std::to_string(place.first) + (place.first == 1 ? " thread waits in " : " threads wait in ") +
                (place.second->line ? name : std::string(place.second->waits)) + ", first " + who(*place.second);
    }
    tell(polled ? text + "; polled" : text, polled);
}

void run_until_all_end() {
    while (machine->alive && !machine->failed) {
        if (machine->runnable.empty()) return tell_deadlock("deadlock", "");
        if (machine->polls > 1000u * machine->alive + 100000)
            return tell_deadlock("deadlock", machine->launch->cooperative
                                                 ? ", what is polled never changes"
                                                 : ", what is polled never changes; blocks run at the same time only "
                                                   "in a cooperative launch");
        unsigned chosen = draw(machine->runnable.size());
        Warp& warp = *machine->runnable[chosen];
        machine->paused = false;
        while (warp.ready && !machine->paused && !machine->failed) {
            unsigned turn = draw(32);
            uint32_t turned = warp.ready >> turn | uint64_t(warp.ready) << (32 - turn);
            current = warp.lanes[(__builtin_ctz(turned) + turn) % 32];
            resume(*current);
        }
        if (!warp.ready) {
            warp.listed = false;
            for (auto& one : machine->runnable)  // the list may have grown, but not moved
                if (one == &warp) {
                    one = machine->runnable.back();
                    machine->runnable.pop_back();
                    break;
                }
        }
    }
}

void run_blocks() {
    const Launch& launch = *machine->launch;
    unsigned width = launch.grid[0], height = launch.grid[1], blocks = width * height * launch.grid[2];
    std::vector<unsigned> order(blocks);
    for (unsigned i = 0; i < blocks; ++i) {  // shuffled
        unsigned j = draw(i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    size_t stacks = 0;
    for (unsigned i = 0; i < blocks && !machine->failed; ++i) {
        start(dim3(order[i] % width, order[i] / width % height, order[i] / (width * height)), stacks);
        if (launch.cooperative && i + 1 < blocks && !machine->failed) continue;
        run_until_all_end();
        machine->blocks.clear();
        machine->runnable.clear();
        stacks = 0;
    }
}

int find_image(dl_phdr_info* info, size_t, void*) {
    uintptr_t self = reinterpret_cast<uintptr_t>(&machine), low = ~uintptr_t(0), high = 0;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
        uintptr_t from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        low = from < low ? from : low;
        high = from + info->dlpi_phdr[i].p_memsz > high ? from + info->dlpi_phdr[i].p_memsz : high;
    }
    if (self < low || self >= high) return 0;
    machine->image = low;
    machine->image_end = high;
    return 1;
}

// memory
[[noreturn]] void out_of_bounds(uintptr_t address, unsigned bytes, bool write, void* place, int line) {
    std::string text = "out of bounds: " + who(*current) + (write ? " writes " : " reads ") + std::to_string(bytes) + " bytes ";
    std::string in_line = line ? ", in line " + std::to_string(line) : "";
    for (auto& range : machine->ranges) {
        int64_t offset = address - range.start;
        if (offset <= -int64_t(GAP) || offset >= int64_t(range.bytes + GAP)) continue;
        int64_t item = range.array->item_bytes, element = (offset - (offset < 0 ? item - 1 : 0)) / item;
        fail(text + "at element " + std::to_string(element) + " of argument " + std::to_string(range.array->argument) +
             ", which has " + std::to_string(range.bytes / item) + in_line, place);
    }
    fail(text + "that belong to no argument" + in_line, place);
}

void shared_access(Block& block, uintptr_t address, unsigned bytes, bool write, void* place) {
    SharedMemory::Verdict verdict = block.shared.access(address, bytes, write, current->clock);
    if (verdict.kind == SharedMemory::fine) return;
    std::string did = who(*current) + (write ? " writes " : " reads ");
    std::string what = std::to_string(bytes) + " bytes of shared memory";
    if (verdict.kind == SharedMemory::outside)
        fail("out of bounds: " + did + what + " that were not declared", place);
    if (verdict.kind == SharedMemory::unwritten)
        fail("uninitialised: " + did + what + " that nobody has written", place);
    fail("race: " + did + what + " that thread " + at(block.fibers[verdict.other].thread) +
         (verdict.write ? " has written" : " has read") + ", without a barrier between", place);
}

inline void access(void* pointer, unsigned bytes, bool write, void* place, int line = 0) {
    if (!current) return;  // what runs when the library is loaded
    uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
    Machine& m = *machine;
    if (address - current->stack < STACK) return;
    Block& block = *current->warp->block;
    if (block.shared.holds(address)) return shared_access(block, address, bytes, write, place);
    for (size_t i = 0; i <= m.ranges.size(); ++i) {
        size_t number = i ? i - 1 : m.last;
        if (number >= m.ranges.size()) continue;
        const Range& range = m.ranges[number];
        if (address < range.start || address - range.start + bytes > range.bytes) continue;
        m.last = number;
        if (write && !range.array->writable)
            fail("read only: " + who(*current) + " writes to argument " + std::to_string(range.array->argument), place);
        return;
    }
    if (address >= m.image && address + bytes <= m.image_end) return;
    out_of_bounds(address, bytes, write, place, line);
}

void poll(const char* name, int line, void* place) {
    machine->polls++;
    machine->paused = true;
    current->waits = name;
    current->line = line;
    current->place = place;
    suspend();
}

}  // namespace

extern "C" {

dim3 nb_thread() { return current->thread; }
dim3 nb_block() { return current->warp->block->index; }
dim3 nb_block_size() { return {machine->launch->block[0], machine->launch->block[1], machine->launch->block[2]}; }
dim3 nb_grid_size() { return {machine->launch->grid[0], machine->launch->grid[1], machine->launch->grid[2]}; }
int nb_lane() { return current->lane; }

int nb_barrier(int predicate, const char* name, int line) {
    Block& block = *current->warp->block;
    machine->polls = 0;
    if (block.ended)
        fail("divergence: " + who(*current) + " waits at " + line_of(name, line) + ", a thread of the block has ended");
    if (!block.arrived) {
        block.name = name;
        block.line = line;
        block.count = 0;
    } else if (block.line != line || strcmp(block.name, name)) {
        fail("divergence: threads of one block meet at " + line_of(block.name, block.line) + " and at " +
             line_of(name, line) + ", the latter " + who(*current));
    }
    block.count += predicate != 0;
    if (++block.arrived < block.fibers.size()) {
        wait(name, line);
        return block.result;
    }
    block.arrived = 0;
    block.result = block.count;
    block.shared.barrier();
    for (auto& fiber : block.fibers)
        if (&fiber != current) make_ready(fiber);
    return block.result;
}

void nb_grid_barrier(int line) {
    const Launch& launch = *machine->launch;
    if (!launch.cooperative) fail("deadlock: grid.sync in line " + std::to_string(line) + " needs a cooperative launch");
    nb_barrier(0, "grid.sync", line);
    if (++machine->at_grid_barrier < machine->blocks.size() * current->warp->block->fibers.size())
        return wait("grid.sync", line);
    machine->at_grid_barrier = 0;
    for (auto& block : machine->blocks) {
        block->shared.barrier();
        for (auto& fiber : block->fibers)
            if (&fiber != current) make_ready(fiber);
    }
}

uint64_t nb_warp(uint32_t mask, Meeting kind, uint64_t value, int source, const char* name, int line) {
    Warp& warp = *current->warp;
    int lane = current->lane;
    uint32_t needed = mask & warp.present;
    machine->polls = 0;
    if (!(mask >> lane & 1))
        fail("divergence: " + who(*current) + " comes to " + line_of(name, line) + ", whose mask does not name its lane");
    if (mask & warp.ended)
        fail("divergence: " + who(*current) + " comes to " + line_of(name, line) + ", whose mask names a lane that has ended");
    Rendezvous* meeting = nullptr;
    for (auto& one : warp.meetings)
        if (one.mask == mask) meeting = &one;
    if (!meeting) meeting = &warp.meetings.emplace_back(mask);
    if (!meeting->arrived) {
        meeting->name = name;
        meeting->line = line;
    } else if (meeting->line != line || strcmp(meeting->name, name)) {
        fail("divergence: lanes of one mask meet at " + line_of(meeting->name, meeting->line) + " and at " +
             line_of(name, line) + ", the latter " + who(*current));
    }
    meeting->value[lane] = value;
    meeting->source[lane] = source;
    meeting->arrived |= 1u << lane;
    if (meeting->arrived != needed) {
        wait(name, line);
        return current->result;
    }
    meeting->arrived = 0;
    uint64_t votes = 0;
    Clock::Seen seen = {};
    for (int i = 0; i < 32; ++i)
        if (needed >> i & 1) {
            votes |= uint64_t(meeting->value[i] & 1) << i;
            if (kind == Meeting::barrier) warp.lanes[i]->clock.give(seen, i);
        }
    for (int i = 0; i < 32; ++i) {
        if (!(needed >> i & 1)) continue;
        Fiber& fiber = *warp.lanes[i];
        int from = meeting->source[i];
        if (kind == Meeting::barrier) fiber.clock.take(seen);
        if (kind == Meeting::exchange && (from < 0 || from > 31 || !(needed >> from & 1)))
            fail("divergence: " + who(fiber) + " asks lane " + std::to_string(from) + " in " + line_of(name, line) +
                 ", which is not there");
        fiber.result = kind == Meeting::exchange ? meeting->value[from] : votes;
        if (&fiber != current) make_ready(fiber);
    }
    return current->result;
}

void nb_atomic(void* address, int bytes, int line) {
    poll("an atomic", line, nullptr);
    SharedMemory& shared = current->warp->block->shared;
    uintptr_t place = reinterpret_cast<uintptr_t>(address);
    if (!shared.holds(place)) access(address, bytes, true, nullptr, line);
    else if (!shared.initialised(place, bytes))
        fail("uninitialised: " + who(*current) + " changes shared memory that nobody has written, in line " +
             std::to_string(line));
}

void nb_changed() { machine->polls = 0; }
void nb_pause() { poll("__nanosleep", 0, __builtin_return_address(0)); }

void* nb_shared(const void* declaration, size_t bytes) {
    Block& block = *current->warp->block;
    for (auto& [key, place] : block.declared)
        if (key == declaration) return place;
    void* place = block.shared.add(bytes);
    if (!place) fail("limits: wanted at most 227 KB of shared memory in a block; use less");
    block.declared.emplace_back(declaration, place);
    return place;
}

void* nb_dynamic_shared() { return current->warp->block->shared.first(); }

void nb_failed(const char* text, int line) {
    fail(std::string("assertion: ") + text + " in line " + std::to_string(line) + " fails for " + who(*current));
}

int nb_launch(Launch* launch, void (*enter)(void**), void** arguments) {
    Machine here{};
    here.launch = launch;
    here.enter = enter;
    here.arguments = arguments;
    here.random = launch->seed;
    machine = &here;
    uint64_t bytes = GAP;
    for (int i = 0; i < launch->arrays; ++i) bytes += (launch->array[i].bytes + GAP + 255) / 256 * 256;
    void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uintptr_t next = reinterpret_cast<uintptr_t>(mapped) + GAP;
    for (int i = 0; i < launch->arrays; ++i) {
        Array& array = launch->array[i];
        here.ranges.push_back({next, array.bytes, &array});
        *array.slot = memcpy(reinterpret_cast<void*>(next), array.data, array.bytes);
        next += (array.bytes + GAP + 255) / 256 * 256;
    }
    dl_iterate_phdr(find_image, nullptr);
    uint64_t threads = uint64_t(launch->block[0]) * launch->block[1] * launch->block[2];
    uint64_t alive = threads * (launch->cooperative ? launch->grid[0] * launch->grid[1] * launch->grid[2] : 1);
    if (alive > MOST_ALIVE)
        tell("limits: wanted at most " + std::to_string(MOST_ALIVE) + " threads at a time, got " + std::to_string(alive) +
             "; launch fewer blocks");
#if defined(__x86_64__)
    unsigned control = _mm_getcsr();
    _mm_setcsr(control | 0x8040);  // numbers below the normal ones count as 0, as CuPy compiles it
#endif
    if (!here.failed) run_blocks();
#if defined(__x86_64__)
    _mm_setcsr(control);
#endif
    for (auto& range : here.ranges)
        if (!here.failed && range.array->writable)
            memcpy(range.array->data, reinterpret_cast<void*>(range.start), range.bytes);
    munmap(mapped, bytes);
    current = nullptr;
    machine = nullptr;
    return here.failed;
}

// what g++ calls before the kernel reads or writes
#define NB_WATCH(bytes)                                                                                             \
    void __tsan_read##bytes(void* p) { access(p, bytes, false, __builtin_return_address(0)); }                      \
    void __tsan_write##bytes(void* p) { access(p, bytes, true, __builtin_return_address(0)); }                      \
    void __tsan_unaligned_read##bytes(void* p) { access(p, bytes, false, __builtin_return_address(0)); }            \
    void __tsan_unaligned_write##bytes(void* p) { access(p, bytes, true, __builtin_return_address(0)); }            \
    void __tsan_volatile_read##bytes(void* p) { watch_flag(p, bytes, false, __builtin_return_address(0)); }         \
    void __tsan_volatile_write##bytes(void* p) { watch_flag(p, bytes, true, __builtin_return_address(0)); }         \
    void __tsan_unaligned_volatile_read##bytes(void* p) { watch_flag(p, bytes, false, __builtin_return_address(0)); } \
    void __tsan_unaligned_volatile_write##bytes(void* p) { watch_flag(p, bytes, true, __builtin_return_address(0)); }
static void watch_flag(void* pointer, int bytes, bool write, void* place) {
    if (!current) return;
    uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
    if (!write) poll("a volatile read", 0, place);
    SharedMemory& shared = current->warp->block->shared;
    if (!shared.holds(address)) access(pointer, bytes, write, place);
    else if (write) shared.initialise(address, bytes);
    else if (!shared.initialised(address, bytes))
        fail("uninitialised: " + who(*current) + " reads shared memory that nobody has written", place);
    if (write) machine->polls = 0;
}
NB_WATCH(1)
NB_WATCH(2)
NB_WATCH(4)
NB_WATCH(8)
NB_WATCH(16)
void __tsan_read_range(void* p, size_t bytes) { access(p, bytes, false, __builtin_return_address(0)); }
void __tsan_write_range(void* p, size_t bytes) { access(p, bytes, true, __builtin_return_address(0)); }
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}

// and, of -fsanitize=alignment,bounds,shift-exponent, where it is about to do what C++ leaves open
void __ubsan_handle_type_mismatch_v1(void*, void* pointer) {
    char address[32];
    snprintf(address, sizeof address, "%p", pointer);
    fail("misaligned: " + who(*current) + " uses the address " + address, __builtin_return_address(0));
}
void __ubsan_handle_out_of_bounds(void*, void* index) {
    fail("out of bounds: " + who(*current) + " uses the index " + std::to_string(intptr_t(index)) + " of an array that ends before",
         __builtin_return_address(0));
}
void __ubsan_handle_shift_out_of_bounds(void*, void*, void* bits) {
    fail("undefined: " + who(*current) + " shifts by " + std::to_string(intptr_t(bits)), __builtin_return_address(0));
}

}  // extern "C"
}  // namespace nb
