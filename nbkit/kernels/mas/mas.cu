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

// Scores of a lane's two tokens, first and first + 1, at a frame; 0 behind the end, which changes no Q that counts.
template <bool PAIRS>
__device__ __forceinline__ float2 fetch(const float* scores, int frame, int frames, int first, int tokens, int width) {
    float2 pair = make_float2(0.f, 0.f);
    if (frame < frames && first < tokens) {
        const float* at = scores + (size_t)frame * width + first;
        if (PAIRS) {  // the second of them may lie behind the last token, but in the row
            pair = *reinterpret_cast<const float2*>(at);
        } else {
            pair.x = at[0];
            if (first + 1 < tokens) pair.y = at[1];
        }
    }
    return pair;
}

// Q at the end, whether it is a number below infinity, and the words of all tiles.
template <int DEPTH, bool PAIRS>
__device__ __forceinline__ bool forward(const float* scores, int tokens, int frames, int width, unsigned* words) {
    __shared__ float edges[WARPS][2][TILE];  // Q of the token on the left of each warp, of an even and an odd tile
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, columns = 2 * blockDim.x;
    const int first = 2 * threadIdx.x, tiles = (frames + TILE - 1) / TILE;
    const int warps = (tokens + TOKENS - 1) / TOKENS;  // that have something to do
    float2 ahead[DEPTH];
    for (int i = threadIdx.x; i < 2 * TILE; i += blockDim.x) edges[0][i / TILE][i % TILE] = -INFINITE;
#pragma unroll
    for (int f = 0; f < DEPTH; ++f) ahead[f] = fetch<PAIRS>(scores, f, frames, first, tokens, width);
    float q0 = -INFINITE, q1 = -INFINITE;
    float edge = warp == 0 ? 0.f : -INFINITE;  // Q left of the warp at the frame before; the path begins at token 0
    __syncthreads();
    for (int stage = 0; stage < tiles + warps - 1; ++stage) {
        const int tile = stage - warp;
        if (warp < warps && tile >= 0 && tile < tiles) {
            unsigned word0 = 0, word1 = 0;
#pragma unroll 1
            for (int part = 0; part < TILE; part += DEPTH) {
                unsigned part0 = 0, part1 = 0;
#pragma unroll
                for (int f = 0; f < DEPTH; ++f) {
                    const float2 score = ahead[f];
                    ahead[f] = fetch<PAIRS>(scores, tile * TILE + part + f + DEPTH, frames, first, tokens, width);
                    float left = __shfl_up_sync(ALL, q1, 1);
                    if (lane == 0) left = edge;
                    edge = edges[warp][tile % 2][part + f];
                    // a comparison is false where `stay` is NaN, so a NaN stays with its token
                    const bool move0 = left > q0, move1 = q0 > q1;
                    const float best1 = move1 ? q0 : q1, best0 = move0 ? left : q0;
                    if (move0) part0 |= 1u << f;
                    if (move1) part1 |= 1u << f;
                    q0 = best0 + score.x;
                    q1 = best1 + score.y;
                    if (lane == 31 && warp + 1 < warps) edges[warp + 1][tile % 2][part + f] = q1;
                }
                word0 |= part0 << part;
                word1 |= part1 << part;
            }
            *reinterpret_cast<uint2*>(words + (size_t)tile * columns + first) = make_uint2(word0, word1);
        }
        __syncthreads();
    }
    return (first >= tokens || q0 < INFINITE) && (first + 1 >= tokens || q1 < INFINITE);
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
