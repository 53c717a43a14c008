// Runs a kernel on one CPU thread: each CUDA thread is a fiber that runs until it has to wait. Who goes on is drawn
// from a seed, a warp at a time and for as long as it can, which is as unfair as a GPU may be. The kernel's code is
// compiled with -fsanitize=thread, which makes it call watch.hpp; nothing else of that sanitizer is used.
#include "runtime.hpp"

#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "machine.hpp"
#include "schedule.hpp"
#include "watch.hpp"

namespace nb {
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
    if (!launch.cooperative)
        fail("deadlock: grid.sync in line " + std::to_string(line) + " needs a cooperative launch");
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
    if (!(mask >> lane & 1) || mask & warp.ended)
        fail("divergence: " + who(*current) + " comes to " + line_of(name, line) + ", whose mask " +
             (mask & warp.ended ? "names a lane that has ended" : "does not name its lane"));
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
        tell("limits: wanted at most " + std::to_string(MOST_ALIVE) + " threads at a time, got " +
             std::to_string(alive) + "; launch fewer blocks");
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

}  // extern "C"
}  // namespace nb
