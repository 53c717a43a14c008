// Between cuda.hpp, whose code is watched, and runtime.cpp, which watches it.
#pragma once
#include <cstddef>
#include <cstdint>

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

namespace nb {

enum class Meeting { barrier, exchange, ballot };

struct Array {         // an argument that is an array; the kernel works on a copy with unused memory around it
    void* data;
    uint64_t bytes, item_bytes;
    int writable, argument;
    void** slot;       // where the address of the copy belongs
};

struct Launch {
    unsigned grid[3], block[3];
    uint64_t shared_bytes, seed;
    int cooperative, arrays;
    Array* array;
    char* report;      // "kind: text" where the launch failed
    uint64_t report_bytes;
    uint64_t place;    // offset of the failing instruction in the library, or 0
};

// of the thread that runs, and of its launch; none of them changes while a thread lives
extern "C" {
dim3 nb_thread() __attribute__((const));
dim3 nb_block() __attribute__((const));
dim3 nb_block_size() __attribute__((const));
dim3 nb_grid_size() __attribute__((const));
int nb_lane() __attribute__((const));

int nb_launch(Launch* launch, void (*enter)(void**), void** arguments);
// all threads of the block meet; how many of them came with a predicate that is not 0
int nb_barrier(int predicate, const char* name, int line);
void nb_grid_barrier(int line);
// the lanes of `mask` meet; exchange gives the value of lane `source`, ballot the lanes whose value is not 0
uint64_t nb_warp(uint32_t mask, Meeting kind, uint64_t value, int source, const char* name, int line);
void nb_atomic(void* address, int bytes, int line);   // checked, and others may run before it
void nb_changed();                                    // something that others may wait for has changed
void nb_pause();                                      // others may run
void* nb_shared(const void* declaration, size_t bytes);  // of this block; the same for each of its threads
void* nb_dynamic_shared();
[[noreturn]] void nb_failed(const char* text, int line);
}

}  // namespace nb
