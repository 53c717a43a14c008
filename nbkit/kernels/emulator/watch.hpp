// What g++ calls before a kernel reads or writes memory, or does what C++ leaves open.
#pragma once
#include <link.h>

#include "machine.hpp"

namespace nb {
namespace {

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

[[noreturn]] void out_of_bounds(uintptr_t address, unsigned bytes, bool write, void* place, int line) {
    std::string did = write ? " writes " : " reads ";
    std::string text = "out of bounds: " + who(*current) + did + std::to_string(bytes) + " bytes ";
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

void watch_flag(void* pointer, int bytes, bool write, void* place) {
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

}  // namespace

extern "C" {

#define NB_WATCH(bytes)                                                                                             \
    void __tsan_read##bytes(void* p) { access(p, bytes, false, __builtin_return_address(0)); }                      \
    void __tsan_write##bytes(void* p) { access(p, bytes, true, __builtin_return_address(0)); }                      \
    void __tsan_unaligned_read##bytes(void* p) { access(p, bytes, false, __builtin_return_address(0)); }            \
    void __tsan_unaligned_write##bytes(void* p) { access(p, bytes, true, __builtin_return_address(0)); }            \
    void __tsan_volatile_read##bytes(void* p) { watch_flag(p, bytes, false, __builtin_return_address(0)); }         \
    void __tsan_volatile_write##bytes(void* p) { watch_flag(p, bytes, true, __builtin_return_address(0)); }         \
    void __tsan_unaligned_volatile_read##bytes(void* p) { watch_flag(p, bytes, false, __builtin_return_address(0)); } \
    void __tsan_unaligned_volatile_write##bytes(void* p) { watch_flag(p, bytes, true, __builtin_return_address(0)); }
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

// -fsanitize=alignment,bounds,shift-exponent
void __ubsan_handle_type_mismatch_v1(void*, void* pointer) {
    char address[32];
    snprintf(address, sizeof address, "%p", pointer);
    fail("misaligned: " + who(*current) + " uses the address " + address, __builtin_return_address(0));
}
void __ubsan_handle_out_of_bounds(void*, void* index) {
    std::string number = std::to_string(intptr_t(index));
    fail("out of bounds: " + who(*current) + " uses the index " + number + " of an array that ends before",
         __builtin_return_address(0));
}
void __ubsan_handle_shift_out_of_bounds(void*, void*, void* bits) {
    fail("undefined: " + who(*current) + " shifts by " + std::to_string(intptr_t(bits)), __builtin_return_address(0));
}

}  // extern "C"
}  // namespace nb
