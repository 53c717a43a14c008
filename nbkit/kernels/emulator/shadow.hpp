// The shared memory of a block, and for each of its words who wrote and read it last.
#pragma once
#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <vector>

namespace nb {

// When a thread did something. Two accesses are in order if a barrier of the block lies between, or if they are of one
// warp and a chain of __syncwarp leads from one to the other. A shuffle puts nothing in order, as CUDA has it.
struct Clock {
    struct Seen {
        uint32_t until[32] = {};  // of each lane of the warp, everything before this is in order
    };
    unsigned thread = 0;
    uint32_t now = 0;
    Seen seen;

    void give(Seen& all, int lane) const {
        for (int i = 0; i < 32; ++i) all.until[i] = seen.until[i] > all.until[i] ? seen.until[i] : all.until[i];
        all.until[lane] = now + 1;
    }
    void take(const Seen& all) {
        seen = all;
        now++;
    }
};

class SharedMemory {
  public:
    enum Kind { fine, outside, unwritten, race };
    struct Verdict {
        Kind kind;
        unsigned other;  // thread
        bool write;      // what it did
    };

    SharedMemory() {
        base_ = reinterpret_cast<uintptr_t>(mmap(nullptr, SPAN, PROT_READ | PROT_WRITE,
                                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    }
    ~SharedMemory() { munmap(reinterpret_cast<void*>(base_), SPAN); }
    SharedMemory(const SharedMemory&) = delete;
    SharedMemory& operator=(const SharedMemory&) = delete;

    bool holds(uintptr_t address) const { return address - base_ < SPAN; }
    void* first() const { return reinterpret_cast<void*>(base_ + GAP); }
    void barrier() { barriers_++; }

    // Another piece, with a gap on each side; nullptr where a block cannot have so much.
    void* add(size_t bytes) {
        used_ += bytes;
        if (used_ > 227 << 10 || next_ + bytes + GAP > SPAN) return nullptr;
        uintptr_t place = base_ + next_;
        words_.resize((next_ + bytes + GAP) / 4 + 1);
        for (size_t i = 0; i < bytes; ++i) words_[(next_ + i) / 4].declared |= 1 << (next_ + i) % 4;
        next_ = (next_ + bytes + GAP + 127) / 128 * 128;
        return reinterpret_cast<void*>(place);
    }

    void initialise(uintptr_t address, unsigned bytes) {
        for (unsigned i = 0; i < bytes; ++i) word(address + i).written |= 1 << (address + i) % 4;
    }
    bool initialised(uintptr_t address, unsigned bytes) {
        for (unsigned i = 0; i < bytes; ++i)
            if (!(word(address + i).written >> (address + i) % 4 & 1)) return false;
        return true;
    }

    Verdict access(uintptr_t address, unsigned bytes, bool write, const Clock& clock) {
        for (uintptr_t end = address + bytes; address < end; address = (address & ~uintptr_t(3)) + 4) {
            unsigned low = address % 4, high = (end - address) + low < 4 ? (end - address) + low : 4;
            uint8_t mask = (1 << high) - (1 << low);
            Word& one = word(address);
            if (mask & ~one.declared) return {outside, 0, false};
            if (!write && mask & ~one.written) return {unwritten, 0, false};
            if (clashes(one.writer, mask, clock)) return {race, one.writer.thread, true};
            if (!write) {
                Access& reader = in_order(one.readers[0], clock) ? one.readers[0] : one.readers[1];
                reader = {clock.thread, barriers_, clock.now, mask};
                continue;
            }
            for (auto& reader : one.readers)
                if (clashes(reader, mask, clock)) return {race, reader.thread, false};
            one.writer = {clock.thread, barriers_, clock.now, mask};
            one.written |= mask;
        }
        return {fine, 0, false};
    }

  private:
    static constexpr size_t SPAN = 1 << 20, GAP = 512;
    struct Access {
        unsigned thread = 0;
        uint32_t barriers = 0, time = 0;
        uint8_t bytes = 0;  // of the word; none: there was no access
    };
    struct Word {
        uint8_t declared = 0, written = 0;  // bytes
        Access writer, readers[2];          // two readers that are not in order: one of them is not the next writer
    };

    Word& word(uintptr_t address) {
        size_t number = (address - base_) / 4;
        if (number >= words_.size()) words_.resize(number + 1);
        return words_[number];
    }
    bool in_order(const Access& earlier, const Clock& clock) const {
        if (!earlier.bytes || earlier.barriers < barriers_ || earlier.thread == clock.thread) return true;
        return earlier.thread / 32 == clock.thread / 32 && earlier.time < clock.seen.until[earlier.thread % 32];
    }
    bool clashes(const Access& earlier, uint8_t bytes, const Clock& clock) const {
        return earlier.bytes & bytes && !in_order(earlier, clock);
    }

    uintptr_t base_;
    size_t next_ = GAP, used_ = 0;
    uint32_t barriers_ = 1;
    std::vector<Word> words_;
};

}  // namespace nb
