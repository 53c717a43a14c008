// The loop of WaveRNN: one launch for many samples, all blocks alive together, the weights on the chip from the first
// sample to the last. As reference.py, with the input layer folded away as in folded.py.
//
// Warp w of block k is unit u = k + blocks * w: it owns unit u of each GRU (its rows of the matrices stay in registers),
// row u of both layers, and rows u, u + units, ... of the output (in shared memory). Lane b finishes the sums of row b of
// the batch; all ROWS rows share a weight that is read. Behind the last row of the batch that row is made again.
//
// Whatever a warp makes, all blocks need next: five exchanges a sample. A number travels as one word of 8 bytes, {epoch,
// bits}, by one store; whoever needs it polls until the epoch is that of this sample. Why no fence and no barrier of the
// grid is needed:
// - Number and epoch cannot come apart: an aligned access of 8 bytes is one access (PTX, "memory consistency model",
//   scalar types up to 64 bits). Volatile makes it a relaxed one at the scope of the system: it goes to where all blocks
//   look, and a poll is not hoisted out of its loop.
// - Nothing else is handed over by it, so no other access has to be ordered with it.
// - A word is written again two samples later (`box` alternates), which needs the draw of the sample between. That draw
//   needs each block's own words of that sample, each block owning a unit or a row, and a block sends these only after
//   it has read all words of the sample before: its polls have returned what the stores were waiting for. So no word is
//   overwritten before all have read it.
// - Each launch begins with epoch 1 on mail of zeros.
// A block that waits for too long (one is lost, or the grid is smaller than asked for) goes on with NaN, so a launch ends
// whatever happens.
//
// weights    [(2 GRUS - 1) 3 hidden, 64 PAIRS] W_hh of the first GRU, then W_hh and W_ih of the second; [layers, 64
//            PAIRS]; [layers, 64 LAYER_PAIRS]; [outputs, 64 LAYER_PAIRS]; zeros behind the last column
// constants  what the sample before is multiplied by [row], b_hh of the new gates [GRUS hidden], bias of the output
// before     [samples, rows, row] with row = 3 hidden GRUS + 2 layers; uniforms [samples, rows, 2]; given [samples, rows]
// drawn      [samples, rows]; told [samples, rows, outputs]; x_start [rows]; hidden_start, hidden_end [GRUS, rows, hidden]
// mail       zeros [2 ROWS (64 (GRUS PAIRS + 2 LAYER_PAIRS) + outputs)]
// flags      1: outputs are a mixture; 2: what is given is taken; 4: logits are told

typedef unsigned long long Word;

constexpr unsigned ALL = 0xffffffffu;
constexpr int BATCH = 8;             // words of a thread that are on their way at a time
constexpr int PATIENCE = 1 << 24;    // polls without an answer: some ten seconds
constexpr float LOWEST = -9.f, EDGE = 1e-5f;  // as in reference.py

// How weights are kept: two of a row side by side.
struct Full {
    typedef float Stored;
    typedef float2 Pair;
    static __device__ __forceinline__ float2 numbers(float2 pair) { return pair; }
};

struct Half {
    typedef unsigned short Stored;
    typedef unsigned Pair;
#ifdef __NBKIT_EMULATOR__  // which knows no PTX
    static float number(unsigned bits) {
        const unsigned size = bits & 0x7fff;
        float value = __uint_as_float((size << 13) + (112u << 23));
        if (size < 0x400) value = size * 5.9604644775390625e-8f;
        if (size >= 0x7c00) value = __uint_as_float(0x7f800000u | size << 13);
        return bits & 0x8000 ? -value : value;
    }
    static float2 numbers(unsigned pair) { return make_float2(number(pair & 0xffff), number(pair >> 16)); }
#else
    static __device__ __forceinline__ float2 numbers(unsigned pair) {
        float2 both;
        asm volatile("{ .reg .b16 low, high; mov.b32 {low, high}, %2; cvt.f32.f16 %0, low; cvt.f32.f16 %1, high; }"
            : "=f"(both.x), "=f"(both.y) : "r"(pair));
        return both;
    }
#endif
};

__device__ __forceinline__ float total(float value) {
#pragma unroll
    for (int step = 16; step; step /= 2) value += __shfl_xor_sync(ALL, value, step);
    return value;
}

// Of N rows of weights and ROWS vectors [ROWS, 64 PAIRS] of shared memory: all products; lane b keeps those of vector b.
template <class As, int N, int PAIRS, int ROWS>
__device__ __forceinline__ void multiply(
    const typename As::Pair (&weights)[N][PAIRS], const float* vectors, int lane, float (&kept)[N]) {
    constexpr int GROUP = ROWS == 2 || ROWS == 4 ? 2 : 1;  // as registers allow: T4 has 128 for a thread
#pragma unroll 1
    for (int first = 0; first < ROWS; first += GROUP) {
        float sums[N][GROUP] = {};
#pragma unroll
        for (int c = 0; c < PAIRS; ++c) {
            float2 w[N];
#pragma unroll
            for (int n = 0; n < N; ++n) w[n] = As::numbers(weights[n][c]);
#pragma unroll
            for (int b = 0; b < GROUP; ++b) {
                const float2 v = reinterpret_cast<const float2*>(vectors + (first + b) * 64 * PAIRS)[c * 32 + lane];
#pragma unroll
                for (int n = 0; n < N; ++n) sums[n][b] += w[n].x * v.x + w[n].y * v.y;
            }
        }
#pragma unroll
        for (int b = 0; b < GROUP; ++b)
#pragma unroll
            for (int n = 0; n < N; ++n) {
                const float sum = total(sums[n][b]);
                if (lane == first + b) kept[n] = sum;
            }
    }
}

// The same for one row of weights in shared memory.
template <class As, int PAIRS, int ROWS>
__device__ __forceinline__ float multiply(const typename As::Pair* weights, const float* vectors, int lane) {
    typename As::Pair row[1][PAIRS];
#pragma unroll
    for (int c = 0; c < PAIRS; ++c) row[0][c] = weights[c * 32 + lane];
    float kept[1] = {};
    multiply<As, 1, PAIRS, ROWS>(row, vectors, lane, kept);
    return kept[0];
}

__device__ __forceinline__ void send(volatile Word* box, unsigned epoch, float value) {
    *box = (Word)epoch << 32 | __float_as_uint(value);
}

// Words `first`, first + STRIDE, ... below COUNT, of which those at a column below `width` of COLUMNS are sent.
template <int COUNT, int COLUMNS, int STRIDE, class Put>
__device__ __forceinline__ void receive(
    const volatile Word* box, int first, int width, unsigned epoch, int& patience, Put put) {
    constexpr int EACH = (COUNT + STRIDE - 1) / STRIDE, MANY = EACH < BATCH ? EACH : BATCH;
    for (int base = first; base < COUNT; base += MANY * STRIDE) {
        Word got[MANY];
        bool missing;
        do {
            missing = false;
#pragma unroll
            for (int k = 0; k < MANY; ++k) {
                const int i = base + k * STRIDE;
                got[k] = 0;
                if (i < COUNT && i % COLUMNS < width) {
                    got[k] = box[i];
                    missing |= (unsigned)(got[k] >> 32) != epoch;
                }
            }
        } while (missing && --patience > 0);
        if (!missing) patience = PATIENCE;
#pragma unroll
        for (int k = 0; k < MANY; ++k) {
            const int i = base + k * STRIDE;
            if (i < COUNT && i % COLUMNS < width) put(i, __uint_as_float(missing ? ALL : (unsigned)got[k]));
        }
    }
}

__device__ __forceinline__ float sigmoid(float x) { return 1.f / (1.f + expf(-x)); }

// The state of a unit behind a GRU. in, kept: what its gates get from its input and, `apart`, from its state.
__device__ __forceinline__ float gru(const float (&in)[3], const float* kept, int apart, float before) {
    const float z = sigmoid(in[1] + kept[apart]);
    const float n = tanhf(in[2] + sigmoid(in[0] + kept[0]) * kept[2 * apart]);
    return n + z * (before - n);
}

// Where logit i lies, so that lanes that read stretches of them find them in different banks.
__device__ __forceinline__ int spread(int i) { return i + i / 32; }

// By a warp: the first choice up to which the probabilities add up to more than u.
__device__ __forceinline__ int choose(const float* logits, int choices, float u, int lane) {
    const int each = (choices + 31) / 32, first = lane * each, last = min(first + each, choices);
    float top = __int_as_float(0xff800000), sum = 0.f;
    for (int i = first; i < last; ++i) top = fmaxf(top, logits[spread(i)]);
#pragma unroll
    for (int step = 16; step; step /= 2) top = fmaxf(top, __shfl_xor_sync(ALL, top, step));
    for (int i = first; i < last; ++i) sum += expf(logits[spread(i)] - top);
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
        const float left = __shfl_up_sync(ALL, sum, step);
        if (lane >= step) sum += left;
    }
    const float bound = u * __shfl_sync(ALL, sum, 31), left = __shfl_up_sync(ALL, sum, 1);
    float so_far = lane ? left : 0.f;
    int found = choices - 1;
    for (int i = first; i < last; ++i) {
        so_far += expf(logits[spread(i)] - top);
        if (so_far > bound) {
            found = i;
            break;
        }
    }
#pragma unroll
    for (int step = 16; step; step /= 2) found = min(found, __shfl_xor_sync(ALL, found, step));
    return found;
}

// reference.draw by a warp. A NaN stays one.
__device__ __forceinline__ float draw(const float* logits, int outputs, bool mixture, float u, float v, int lane) {
    const int choices = mixture ? outputs / 3 : outputs, chosen = choose(logits, choices, u, lane);
    if (!mixture) return 2.f * chosen / (choices - 1) - 1.f + 0.f * logits[spread(0)];
    v = fminf(fmaxf(v, EDGE), 1.f - EDGE);
    const float scale = expf(fmaxf(logits[spread(2 * choices + chosen)], LOWEST));
    const float x = logits[spread(choices + chosen)] + scale * (logf(v) - log1pf(-v));
    return x > 1.f ? 1.f : x < -1.f ? -1.f : x;
}

template <class As, int PAIRS, int LAYER_PAIRS, int GRUS, int ROWS, int WARPS>
__global__ void __launch_bounds__(32 * WARPS, 1) wavernn_sample(
    const typename As::Stored* __restrict__ weights, const float* __restrict__ constants,
    const float* __restrict__ before, const float* __restrict__ uniforms, const float* __restrict__ given,
    const float* __restrict__ x_start, const float* __restrict__ hidden_start, float* __restrict__ drawn,
    float* __restrict__ told, float* __restrict__ hidden_end, volatile unsigned long long* mail, int samples, int rows,
    int hidden, int layers, int outputs, int flags) {
    typedef typename As::Pair Pair;
    constexpr int WIDE = 64 * PAIRS, LAYER_WIDE = 64 * LAYER_PAIRS, THREADS = 32 * WARPS;
    constexpr int ADDED = 3 * GRUS + 2, KEPT = ADDED * ROWS, STATE = KEPT + 3 * GRUS * ROWS;  // in `mine`, see below
    constexpr int OWN = (4 * GRUS + 2 + STATE + GRUS * ROWS + 1) / 2 * 2;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, blocks = gridDim.x, units = blocks * WARPS;
    const int unit = blockIdx.x + blocks * warp, row = 3 * hidden * GRUS + 2 * layers;
    const int spread_outputs = (spread(outputs) + 2) / 2 * 2;
    const bool has_unit = unit < hidden, has_row = unit < layers, has_lane = lane < ROWS;
    const int b = min(lane, rows - 1);  // the row of the batch that this lane finishes
    if (units < max(hidden, layers)) return;  // CuPy starts fewer blocks than asked for where there is no room

    extern __shared__ float memory[];
    float* states = memory;                                  // [GRUS][ROWS][WIDE]
    float* layer1 = states + GRUS * ROWS * WIDE;             // [ROWS][LAYER_WIDE]
    float* layer2 = layer1 + ROWS * LAYER_WIDE;
    float* sum = GRUS > 1 ? layer2 : states;                 // of all states; used up before layer2 is there
    float* logits = layer2 + ROWS * (GRUS > 1 && WIDE > LAYER_WIDE ? WIDE : LAYER_WIDE);  // [ROWS][spread_outputs]
    float* x = logits + ROWS * spread_outputs;               // [ROWS]
    float* own = x + (ROWS + 1) / 2 * 2 + warp * OWN;        // [WARPS][OWN]: what the unit needs besides its weights
    float* mine = own + 4 * GRUS + 2 + lane;                 // of this lane, every ROWS numbers. Registers are few.
    Pair* first = reinterpret_cast<Pair*>(own + (WARPS - warp) * OWN) + warp * 32 * PAIRS;  // a row for each warp
    Pair* middle = first + (WARPS - warp) * 32 * PAIRS + warp * 32 * LAYER_PAIRS;
    Pair* last = middle + (WARPS - warp) * 32 * LAYER_PAIRS;  // those of the block: o = block + blocks * k

    // weights
    const Pair* from = reinterpret_cast<const Pair*>(weights);
    Pair recurrent[GRUS][3][PAIRS], input[3][PAIRS];
    const int known = has_unit ? unit : 0;
#pragma unroll
    for (int gate = 0; gate < 3; ++gate)
#pragma unroll
        for (int c = 0; c < PAIRS; ++c) {
            const Pair* place = from + ((size_t)gate * hidden + known) * 32 * PAIRS + c * 32 + lane;
            const size_t matrix = (size_t)3 * hidden * 32 * PAIRS;
#pragma unroll
            for (int g = 0; g < GRUS; ++g) recurrent[g][gate][c] = place[g * matrix];
            input[gate][c] = place[(GRUS > 1 ? 2 : 0) * matrix];
        }
    from += (size_t)(2 * GRUS - 1) * 3 * hidden * 32 * PAIRS;
    if (has_row) {
        for (int c = lane; c < 32 * PAIRS; c += 32) first[c] = from[(size_t)unit * 32 * PAIRS + c];
        from += (size_t)layers * 32 * PAIRS;
        for (int c = lane; c < 32 * LAYER_PAIRS; c += 32) middle[c] = from[(size_t)unit * 32 * LAYER_PAIRS + c];
        from -= (size_t)layers * 32 * PAIRS;
    }
    from += (size_t)layers * 32 * (PAIRS + LAYER_PAIRS);
    for (int o = unit, k = warp; o < outputs; o += units, k += WARPS)
        for (int c = lane; c < 32 * LAYER_PAIRS; c += 32)
            last[k * 32 * LAYER_PAIRS + c] = from[(size_t)o * 32 * LAYER_PAIRS + c];

    // states, and zeros behind their ends
    for (int i = threadIdx.x; i < logits - memory; i += THREADS) memory[i] = 0.f;
    __syncthreads();
    for (int g = 0; g < GRUS; ++g)
        for (int n = 0; n < ROWS; ++n)
            for (int i = threadIdx.x; i < hidden; i += THREADS)
                states[(g * ROWS + n) * WIDE + i] = hidden_start[(size_t)(g * rows + min(n, rows - 1)) * hidden + i];
    if (threadIdx.x < ROWS) x[threadIdx.x] = x_start[b];
    // own: what x is multiplied by for each gate, and the bias of the new one, of each GRU; then that of the first layer
    if (lane < 4 * GRUS) {
        const int g = lane / 4, gate = lane % 4;
        const int place = gate < 3 ? (g * 3 + gate) * hidden : row + g * hidden;
        own[lane] = has_unit ? constants[place + unit] : 0.f;
    } else if (lane == 4 * GRUS) {
        own[lane] = has_row ? constants[3 * hidden * GRUS + unit] : 0.f;
    }
    // mine: what conditioning adds to each gate and both layers; KEPT, what each gate gets from the state; STATE
    if (has_unit && has_lane)
#pragma unroll
        for (int g = 0; g < GRUS; ++g)
            mine[STATE + g * ROWS] = hidden_start[(size_t)(g * rows + b) * hidden + unit];
    const float* bias_out = constants + row + GRUS * hidden;
    __syncthreads();
    const auto remember = [&](int g) {
        float products[3] = {};
        multiply<As, 3, PAIRS, ROWS>(recurrent[g], states + g * ROWS * WIDE, lane, products);
        products[2] += own[g * 4 + 3];
        if (has_lane)
#pragma unroll
            for (int gate = 0; gate < 3; ++gate) mine[KEPT + (g * 3 + gate) * ROWS] = products[gate];
    };
#pragma unroll
    for (int g = 0; g < GRUS; ++g) remember(g);
    __syncthreads();

    const auto fetch = [&](int t, float (&added)[ADDED]) {
        if (!has_lane) return;
        const float* there = before + ((size_t)t * rows + b) * row;
#pragma unroll
        for (int i = 0; i < ADDED; ++i) {
            const int gate = i < 3 * GRUS ? i * hidden : 3 * hidden * GRUS + (i - 3 * GRUS) * layers;
            if (i < 3 * GRUS ? has_unit : has_row) added[i] = there[gate + unit];
        }
    };
    const auto put_by = [&](const float (&added)[ADDED]) {
        if (has_lane)
#pragma unroll
            for (int i = 0; i < ADDED; ++i) mine[i * ROWS] = added[i];
    };
    {
        float added[ADDED] = {};
        fetch(0, added);
        put_by(added);
    }

    int patience = PATIENCE;
    constexpr int PLACES = ROWS * (WIDE * GRUS + 2 * LAYER_WIDE);
    for (int t = 0; t < samples; ++t) {
        const unsigned epoch = t + 1;
        volatile Word* box = mail + (t & 1) * (size_t)(PLACES + ROWS * outputs);
        const float before_it = has_lane ? x[lane] : 0.f;
        // the new state of GRU g, which gets `in` from its input beside what conditioning and x give
        const auto renew = [&](int g, float (&in)[3]) {
#pragma unroll
            for (int gate = 0; gate < 3; ++gate) in[gate] += mine[(g * 3 + gate) * ROWS] + before_it * own[g * 4 + gate];
            const float state = gru(in, mine + KEPT + 3 * g * ROWS, ROWS, mine[STATE + g * ROWS]);
            mine[STATE + g * ROWS] = state;
            send(box + lane * WIDE + unit, epoch, state);
        };

        if (has_unit && has_lane) {
            float in[3] = {};
            renew(0, in);
        }
        receive<ROWS * WIDE, WIDE, THREADS>(
            box, threadIdx.x, hidden, epoch, patience, [&](int i, float value) { states[i] = value; });
        __syncthreads();
        box += ROWS * WIDE;

        if (GRUS > 1) {
            if (has_unit) {
                float gates[3] = {};
                multiply<As, 3, PAIRS, ROWS>(input, states, lane, gates);
                if (has_lane) renew(GRUS - 1, gates);
            }
            receive<ROWS * WIDE, WIDE, THREADS>(
                box, threadIdx.x, hidden, epoch, patience, [&](int i, float value) {
                    states[(GRUS - 1) * ROWS * WIDE + i] = value;
                    sum[i] = states[i] + value;
                });
            __syncthreads();
            box += ROWS * WIDE;
        }

        if (has_row) {
            float value = multiply<As, PAIRS, ROWS>(first, sum, lane);
            if (has_lane) {
                value += mine[3 * GRUS * ROWS] + before_it * own[4 * GRUS];
                send(box + lane * LAYER_WIDE + unit, epoch, value < 0.f ? 0.f : value);
            }
        }
        if (has_unit) remember(GRUS - 1);  // while the others send
        receive<ROWS * LAYER_WIDE, LAYER_WIDE, THREADS>(
            box, threadIdx.x, layers, epoch, patience, [&](int i, float value) { layer1[i] = value; });
        __syncthreads();
        box += ROWS * LAYER_WIDE;

        if (has_row) {
            float value = multiply<As, LAYER_PAIRS, ROWS>(middle, layer1, lane);
            if (has_lane) {
                value += mine[(3 * GRUS + 1) * ROWS];
                send(box + lane * LAYER_WIDE + unit, epoch, value < 0.f ? 0.f : value);
            }
        }
        if (GRUS > 1 && has_unit) remember(0);
        float added[ADDED] = {};  // to the next sample; on its way while the others send
        if (t + 1 < samples) fetch(t + 1, added);
        receive<ROWS * LAYER_WIDE, LAYER_WIDE, THREADS>(
            box, threadIdx.x, layers, epoch, patience, [&](int i, float value) { layer2[i] = value; });
        put_by(added);
        __syncthreads();
        box += ROWS * LAYER_WIDE;

        for (int o = unit, k = warp; o < outputs; o += units, k += WARPS) {
            const float value = multiply<As, LAYER_PAIRS, ROWS>(last + k * 32 * LAYER_PAIRS, layer2, lane) + bias_out[o];
            if (has_lane) send(box + lane * outputs + o, epoch, value);
        }
        for (int n = warp; n < ROWS; n += WARPS) {  // every block draws; all draw the same
            float* here = logits + n * spread_outputs;
            for (int o = lane; o < outputs; o += 32) {
                receive<1, 1, 1>(box + n * outputs + o, 0, 1, epoch, patience, [&](int, float value) {
                    here[spread(o)] = value;
                    if ((flags & 4) && blockIdx.x == 0 && n < rows) told[((size_t)t * rows + n) * outputs + o] = value;
                });
            }
            __syncwarp();
            const size_t place = (size_t)t * rows + min(n, rows - 1);
            const float2 u = reinterpret_cast<const float2*>(uniforms)[place];
            const float value = draw(here, outputs, flags & 1, u.x, u.y, lane);
            if (lane == 0) {
                x[n] = flags & 2 ? given[place] : value;
                if (blockIdx.x == 0 && n < rows) drawn[place] = value;
            }
        }
        __syncthreads();
    }
    if (has_unit && lane < rows)
#pragma unroll
        for (int g = 0; g < GRUS; ++g) hidden_end[(size_t)(g * rows + lane) * hidden + unit] = mine[STATE + g * ROWS];
}
