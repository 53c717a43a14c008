// Who goes on: a warp is drawn, and runs until all its lanes wait or one of them polls. Of blocks that are alive together
// one is left behind for as long as the others can do without it, then another one, or none.
#pragma once
#include <map>

#include "machine.hpp"

namespace nb {
namespace {

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
        prepare(fiber.context, fiber.stack, run_fiber);
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

Warp& next() {
    Machine& m = *machine;
    size_t warps = m.runnable.size();
    bool stuck = m.polls > 256 * warps;  // all have looked for what they wait for, some words a lane
    if (m.blocks.size() > 1 && (m.behind ? stuck : draw(4 * warps) == 0))
        m.behind = stuck && draw(2) ? nullptr : m.blocks[draw(m.blocks.size())].get();
    unsigned chosen = draw(warps);
    for (size_t i = 0; i < warps && m.runnable[chosen]->block == m.behind; ++i) chosen = (chosen + 1) % warps;
    if (m.runnable[chosen]->block == m.behind) m.behind = nullptr;
    return *m.runnable[chosen];
}

void run_until_all_end() {
    while (machine->alive && !machine->failed) {
        if (machine->runnable.empty()) return tell_deadlock("deadlock", "");
        if (machine->polls > 1000u * machine->alive + 100000)
            return tell_deadlock("deadlock", machine->launch->cooperative
                                                 ? ", what is polled never changes"
                                                 : ", what is polled never changes; blocks run at the same time only "
                                                   "in a cooperative launch");
        Warp& warp = next();
        machine->paused = false;
        while (warp.ready && !machine->paused && !machine->failed) {
            unsigned turn = draw(32);
            uint32_t turned = warp.ready >> turn | uint64_t(warp.ready) << (32 - turn);
            current = warp.lanes[(__builtin_ctz(turned) + turn) % 32];
            change(machine->scheduler, current->context);
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
        machine->behind = nullptr;
        machine->blocks.clear();
        machine->runnable.clear();
        stacks = 0;
    }
}

}  // namespace
}  // namespace nb
