// What a .cu file finds when g++ compiles it: the part of CUDA C++ that can be run on a CPU.
// There is no fp16, no tensor core, no memory model and no time here.
#pragma once
#include <cmath>
#include <cstdio>
#include <cstring>
#include <type_traits>
#include <utility>

#include "runtime.hpp"

#define __NBKIT_EMULATOR__ 1
#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __managed__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define threadIdx (nb::nb_thread())
#define blockIdx (nb::nb_block())
#define blockDim (nb::nb_block_size())
#define gridDim (nb::nb_grid_size())
#undef assert
#define assert(condition) ((condition) ? (void)0 : nb::nb_failed("assert(" #condition ")", __LINE__))

constexpr int warpSize = 32;

// vectors
#define NB_VECTOR(type, name, alignment)                                                         \
    struct alignas(2 * alignment) name##2 { type x, y; };                                        \
    struct name##3 { type x, y, z; };                                                            \
    struct alignas(sizeof(type) > 4 ? 16 : 4 * alignment) name##4 { type x, y, z, w; };          \
    inline name##2 make_##name##2(type x, type y) { return {x, y}; }                             \
    inline name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; }                  \
    inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
NB_VECTOR(float, float, 4)
NB_VECTOR(double, double, 8)
NB_VECTOR(int, int, 4)
NB_VECTOR(unsigned, uint, 4)
#undef NB_VECTOR

// barriers
inline void __syncthreads(int line = __builtin_LINE()) { nb::nb_barrier(0, "__syncthreads", line); }
inline int __syncthreads_count(int predicate, int line = __builtin_LINE()) {
    return nb::nb_barrier(predicate, "__syncthreads_count", line);
}
inline int __syncthreads_or(int predicate, int line = __builtin_LINE()) {
    return nb::nb_barrier(predicate, "__syncthreads_or", line) != 0;
}
inline int __syncthreads_and(int predicate, int line = __builtin_LINE()) {
    return nb::nb_barrier(!predicate, "__syncthreads_and", line) == 0;
}
inline void __syncwarp(unsigned mask = ~0u, int line = __builtin_LINE()) {
    nb::nb_warp(mask, nb::Meeting::barrier, 0, 0, "__syncwarp", line);
}
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}
inline void __nanosleep(unsigned) { nb::nb_pause(); }

namespace cooperative_groups {
struct grid_group {
    void sync(int line = __builtin_LINE()) const { nb::nb_grid_barrier(line); }
};
inline grid_group this_grid() { return {}; }
}  // namespace cooperative_groups

// exchange within a warp
namespace nb {
template <class T>
inline T exchange(unsigned mask, T value, int source, const char* name, int line) {
    static_assert(sizeof(T) <= 8, "a lane gives 8 bytes at most");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = nb_warp(mask, Meeting::exchange, bits, source, name, line);
    memcpy(&value, &bits, sizeof value);
    return value;
}
}  // namespace nb

template <class T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = 32, int line = __builtin_LINE()) {
    int first = nb::nb_lane() & -width;
    return nb::exchange(mask, value, first + (source & (width - 1)), "__shfl_sync", line);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, int line = __builtin_LINE()) {
    int lane = nb::nb_lane(), source = lane - int(delta);
    return nb::exchange(mask, value, source < (lane & -width) ? lane : source, "__shfl_up_sync", line);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, int line = __builtin_LINE()) {
    int lane = nb::nb_lane(), source = lane + int(delta);
    return nb::exchange(mask, value, source > (lane | (width - 1)) ? lane : source, "__shfl_down_sync", line);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, int line = __builtin_LINE()) {
    int lane = nb::nb_lane(), source = lane ^ bits;
    return nb::exchange(mask, value, source > (lane | (width - 1)) ? lane : source, "__shfl_xor_sync", line);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
    return nb::nb_warp(mask, nb::Meeting::ballot, predicate != 0, 0, "__ballot_sync", line);
}
inline int __any_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
    return nb::nb_warp(mask, nb::Meeting::ballot, predicate != 0, 0, "__any_sync", line) != 0;
}
inline int __all_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
    return nb::nb_warp(mask, nb::Meeting::ballot, predicate == 0, 0, "__all_sync", line) == 0;
}
inline unsigned __activemask() { return 1u << nb::nb_lane(); }  // others need not be there, so they are not

// atomics: nothing runs between the check and the change
namespace nb {
template <class T, class Change>
__attribute__((noinline, no_sanitize("thread"))) T change(T* address, int line, Change become) {
    nb_atomic(address, sizeof(T), line);
    T old = *address, now = become(old);
    if (memcmp(&old, &now, sizeof(T)) != 0) nb_changed();
    *address = now;
    return old;
}
}  // namespace nb
#define NB_ATOMIC(name, become)                                                                          \
    template <class T>                                                                                   \
    inline T name(T* address, std::common_type_t<T> value, int line = __builtin_LINE()) {                \
        auto change = [=](T old) __attribute__((no_sanitize("thread"))) -> T { return become; };         \
        return nb::change(address, line, change);                                                        \
    }
NB_ATOMIC(atomicAdd, old + value)
NB_ATOMIC(atomicSub, old - value)
NB_ATOMIC(atomicExch, value)
NB_ATOMIC(atomicMin, old < value ? old : value)
NB_ATOMIC(atomicMax, old > value ? old : value)
NB_ATOMIC(atomicAnd, old & value)
NB_ATOMIC(atomicOr, old | value)
NB_ATOMIC(atomicXor, old ^ value)
NB_ATOMIC(atomicInc, old >= value ? 0 : old + 1)
NB_ATOMIC(atomicDec, old == 0 || old > value ? value : old - 1)
#undef NB_ATOMIC
template <class T>
inline T atomicCAS(
    T* address, std::common_type_t<T> expected, std::common_type_t<T> value, int line = __builtin_LINE()) {
    auto become = [=](T old) __attribute__((no_sanitize("thread"))) -> T { return old == expected ? value : old; };
    return nb::change(address, line, become);
}

// numbers
template <class T>
inline T __ldg(const T* address) { return *address; }
template <class T>
inline T __ldcs(const T* address) { return *address; }
template <class T>
inline T __ldcg(const T* address) { return *address; }
template <class To, class From>
inline To nb_bits(From from) {
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
inline unsigned __float_as_uint(float value) { return nb_bits<unsigned>(value); }
inline int __float_as_int(float value) { return nb_bits<int>(value); }
inline float __uint_as_float(unsigned bits) { return nb_bits<float>(bits); }
inline float __int_as_float(int bits) { return nb_bits<float>(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline int __ffsll(long long bits) { return __builtin_ffsll(bits); }
inline int __clz(int bits) { return bits ? __builtin_clz(bits) : 32; }
inline int __clzll(long long bits) { return bits ? __builtin_clzll(bits) : 64; }
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __popcll(unsigned long long bits) { return __builtin_popcountll(bits); }
inline unsigned __brev(unsigned bits) {
    unsigned turned = 0;
    for (int i = 0; i < 32; ++i) turned |= (bits >> i & 1) << (31 - i);
    return turned;
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
    return uint64_t(high) << 32 >> (32 - (shift & 31)) | uint64_t(low) >> (32 - (shift & 31));
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    return (uint64_t(high) << 32 | low) >> (shift & 31);
}
template <class A, class B>
constexpr std::common_type_t<A, B> min(A a, B b) { return b < a ? b : a; }
template <class A, class B>
constexpr std::common_type_t<A, B> max(A a, B b) { return a < b ? b : a; }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1) : 0; }
inline float rsqrtf(float x) { return 1 / sqrtf(x); }

// how a kernel is entered, and what it takes
namespace nb {
template <class... A, size_t... I>
__attribute__((noinline, no_sanitize("thread"))) void enter(
    void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_const_t<A>*>(arguments[I])...);
}
template <class... A>
inline void enter(void (*kernel)(A...), void** arguments) {
    enter(kernel, arguments, std::index_sequence_for<A...>());
}
template <class T>
inline int describe(char* text) {  // "*f4" is a pointer to float32, "i8" is int64, V is what numpy has no name for
    using Held = std::remove_cv_t<std::remove_pointer_t<T>>;
    constexpr char kind = std::is_same_v<Held, bool> ? 'b' : std::is_floating_point_v<Held> ? 'f'
                        : std::is_integral_v<Held> ? (std::is_signed_v<Held> ? 'i' : 'u') : 'V';
    int bytes = 0;
    if constexpr (!std::is_void_v<Held>) bytes = sizeof(Held);
    return sprintf(text, "%s%c%d ", std::is_pointer_v<T> ? "*" : "", kind, bytes);
}
template <class... A>
__attribute__((no_sanitize("thread"))) void signature(void (*)(A...), char* text) {
    ((text += describe<std::remove_const_t<A>>(text)), ...);
}
}  // namespace nb
