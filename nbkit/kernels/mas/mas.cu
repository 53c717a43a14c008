// Monotonic alignment search: a block an item, 64 tokens a warp, two tokens a lane. As reference.py, to the last bit.
//
// Forward, a tile is 32 frames. A lane keeps Q of its two tokens in registers and asks its left neighbour by one
// shuffle a frame. Warp w searches a tile after warp w - 1 has, and finds in shared memory what Q was at that warp's
// last token, so there is one barrier a tile. Scores are fetched DEPTH frames ahead. A decision is one bit, a tile one
// word a token.
//
// Backward, one warp walks from word to word: the highest bit at or before a frame is where the token begins, as many
// frames as that are skipped at a time. The words of the next tile are fetched meanwhile.
//
// scores [items, height, width] with one frame a row; token_lengths, frame_lengths [items]; words is workspace, two for
// each item, tile and thread. Lengths that leave no path (0, beyond the scores, more tokens than frames) are cut to some
// that do, and the item is not valid. Nothing behind the lengths is looked at.

typedef long long Integer;

#define INFINITE __int_as_float(0x7f800000)
constexpr unsigned ALL = 0xffffffffu;
constexpr int TILE = 32, TOKENS = 64, WARPS = 32;  // frames of a tile, tokens of a warp, warps of the largest block

// Scores of a lane's two tokens at a frame; behind the last token those of some other, or 0.
template <bool PAIRS>
__device__ __forceinline__ float2 fetch(const float* scores, bool both) {
    if (PAIRS) return *reinterpret_cast<const float2*>(scores);
    return make_float2(scores[0], both ? scores[1] : 0.f);
}

// What a lane holds: Q of its two tokens, Q left of its warp at the frame before, and scores of the frames to come.
template <int DEPTH>
struct Lane {
    float2 ahead[DEPTH];
    float q0, q1, edge;
};

// DEPTH frames: search, fetch as many from `next` on, of which `rows` exist, and append decisions to the words.
template <int DEPTH, bool PAIRS, bool ALL_EXIST>
__device__ __forceinline__ void advance(
    Lane<DEPTH>& at, const float* next, int rows, int width, bool both, bool leftmost, bool hands_on,
    const float* edges_before, float* edges_after, unsigned& word0, unsigned& word1) {
#pragma unroll
    for (int f = 0; f < DEPTH; ++f) {
        const float2 score = at.ahead[f];
        if (ALL_EXIST || f < rows) {
            at.ahead[f] = fetch<PAIRS>(next, both);
            next += width;
        } else {
            at.ahead[f] = make_float2(0.f, 0.f);  // behind the end, where it changes no Q that counts
        }
        float left = __shfl_up_sync(ALL, at.q1, 1);
        if (leftmost) left = at.edge;
        at.edge = edges_before[f];
        // a comparison is false where `stay` is NaN, so a NaN stays with its token
        const bool move0 = left > at.q0, move1 = at.q0 > at.q1;
        const float best0 = move0 ? left : at.q0, best1 = move1 ? at.q0 : at.q1;
        if (move0) word0 |= 1u << f;
        if (move1) word1 |= 1u << f;
        at.q0 = best0 + score.x;
        at.q1 = best1 + score.y;
        if (hands_on) edges_after[f] = at.q1;
    }
}

// Fills the words of all tiles; whether Q of this thread's tokens is a number below infinity in the end.
template <int DEPTH, bool PAIRS>
__device__ __forceinline__ bool forward(const float* scores, int tokens, int frames, int width, unsigned* words) {
    __shared__ float edges[WARPS][2][TILE];  // Q of the token on the left of each warp, of an even and an odd tile
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, columns = 2 * blockDim.x;
    const int first = 2 * threadIdx.x, tiles = (frames + TILE - 1) / TILE;
    const int warps = (tokens + TOKENS - 1) / TOKENS;  // that have something to do
    const bool both = first + 1 < tokens;
    const bool hands_on = lane == 31 && warp + 1 < warps;
    for (int i = threadIdx.x; i < 2 * TILE; i += blockDim.x) edges[0][i / TILE][i % TILE] = -INFINITE;
    Lane<DEPTH> at;
    at.q0 = at.q1 = -INFINITE;
    at.edge = warp == 0 ? 0.f : -INFINITE;  // the path begins at token 0
    if (first < tokens) scores += first;
#pragma unroll
    for (int f = 0; f < DEPTH; ++f)
        at.ahead[f] = f < frames ? fetch<PAIRS>(scores + (size_t)f * width, both) : make_float2(0.f, 0.f);
    __syncthreads();
    for (int stage = 0; stage < tiles + warps - 1; ++stage) {
        const int tile = stage - warp;
        if (warp < warps && tile >= 0 && tile < tiles) {
            unsigned word0 = 0, word1 = 0;
#pragma unroll 1
            for (int part = 0; part < TILE; part += DEPTH) {
                unsigned part0 = 0, part1 = 0;
                const int from = tile * TILE + part + DEPTH, rows = frames - from;
                const float* next = scores + (size_t)from * width;
                const float* before = &edges[warp][tile % 2][part];
                float* after = &edges[hands_on ? warp + 1 : warp][tile % 2][part];
                if (rows >= DEPTH) {
                    advance<DEPTH, PAIRS, true>(
                        at, next, rows, width, both, lane == 0, hands_on, before, after, part0, part1);
                } else {
                    advance<DEPTH, PAIRS, false>(
                        at, next, rows, width, both, lane == 0, hands_on, before, after, part0, part1);
                }
                word0 |= part0 << part;
                word1 |= part1 << part;
            }
            *reinterpret_cast<uint2*>(words + (size_t)tile * columns + first) = make_uint2(word0, word1);
        }
        __syncthreads();
    }
    return (first >= tokens || at.q0 < INFINITE) && (first + 1 >= tokens || at.q1 < INFINITE);
}

// By one warp: the token of each frame, and in `starts` the first frame of each token.
__device__ __forceinline__ void backward(
    const unsigned* words, int columns, int tokens, int frames, int* starts, Integer* frame_to_token) {
    const int lane = threadIdx.x;
    int token = tokens - 1, frame = frames - 1, tile = frame / TILE;
    // of tokens `high` - lane and `high` - 32 - lane; a path goes down by no more than 32 tokens in a tile
    int high = token;
    unsigned near = words[(size_t)tile * columns + max(high - lane, 0)], far = 0;
    for (; tile >= 0; --tile) {
        const int shift = high - token, from = (lane + shift) % 32;
        const unsigned a = __shfl_sync(ALL, near, from), b = __shfl_sync(ALL, far, from);
        const unsigned word = lane + shift < 32 ? a : b;  // of token `token` - lane
        const int begin = tile * TILE, top = token;
        high = token;
        if (tile > 0) {
            const unsigned* next = words + (size_t)(tile - 1) * columns;
            near = next[max(high - lane, 0)];
            far = next[max(high - 32 - lane, 0)];
        }
        int mine = token;  // of frame begin + lane
        while (token > 0) {
            const unsigned moved = __shfl_sync(ALL, word, top - token) & (ALL >> (31 - (frame - begin)));
            // with as many tokens left as frames, the path has to move
            const int start = max(moved ? begin + 31 - __clz(moved) : -1, token);
            if (start < begin) break;
            if (lane == 0) starts[token] = start;
            --token;
            frame = start - 1;
            if (begin + lane < start) mine = token;
            if (frame < begin) break;
        }
        if (begin + lane < frames) frame_to_token[begin + lane] = mine;
        frame = begin - 1;
    }
    if (lane == 0) starts[0] = 0;
}

template <int DEPTH, int THREADS, bool PAIRS>
__global__ void __launch_bounds__(THREADS) mas_search(
    const float* __restrict__ scores, const Integer* __restrict__ token_lengths,
    const Integer* __restrict__ frame_lengths, Integer* __restrict__ durations, Integer* __restrict__ frame_to_token,
    bool* __restrict__ valid, unsigned* __restrict__ words, int height, int width) {
    __shared__ int starts[2 * THREADS];
    const int item = blockIdx.x, columns = 2 * blockDim.x;
    const Integer wanted_tokens = token_lengths[item], wanted_frames = frame_lengths[item];
    const int frames = (int)max(min(wanted_frames, (Integer)height), (Integer)1);
    const int tokens = (int)max(min(wanted_tokens, (Integer)min(width, frames)), (Integer)1);
    scores += (size_t)item * height * width;
    words += (size_t)item * ((height + TILE - 1) / TILE) * columns;
    durations += (size_t)item * width;
    frame_to_token += (size_t)item * height;
    const bool fine = forward<DEPTH, PAIRS>(scores, tokens, frames, width, words);
    const bool all_fine = __syncthreads_and(fine);  // and all words are there
    if (threadIdx.x < 32) backward(words, columns, tokens, frames, starts, frame_to_token);
    if (threadIdx.x == 0) valid[item] = all_fine && tokens == wanted_tokens && frames == wanted_frames;
    __syncthreads();
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
        const int end = i + 1 < tokens ? starts[i + 1] : frames;
        durations[i] = i < tokens ? end - starts[i] : 0;
    }
    for (int j = frames + threadIdx.x; j < height; j += blockDim.x) frame_to_token[j] = 0;
}
