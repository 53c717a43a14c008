// All that a launch is: blocks, warps, fibers, arrays; and how it ends in words.
#pragma once
#include <dlfcn.h>

#include <cstdio>
#include <deque>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "context.hpp"
#include "runtime.hpp"
#include "shadow.hpp"

namespace nb {
namespace {

constexpr size_t GAP = 4 << 10;       // bytes between arrays that belong to nobody
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
    Context context{};
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
    const Block* behind = nullptr;               // who is not let on while others can
    bool failed = false, paused = false;
    Context scheduler{};
};

Machine* machine = nullptr;
Fiber* current = nullptr;

void suspend() { change(current->context, machine->scheduler); }

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

std::string who(const Fiber& fiber) {
    return "thread " + at(fiber.thread) + " of block " + at(fiber.warp->block->index);
}

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

}  // namespace
}  // namespace nb
