// ActNorm, invertible 1x1 convolution and mask in one pass, there, back, and for gradients. As reference.py.
//
// x [frames, channels], one frame a row. Group g of 4 channels is 2 g, 2 g + 1 of either half of a row. A thread holds
// the coefficients of GROUPS groups in registers and goes down the rows: with GROUPS = 2, two loads and two stores of
// 16 bytes a row, with 1 of 8 bytes. Threads that are left over, 256 not being a multiple of `units`, hold none.
// Nothing is read of a frame whose mask is 0; 0 is written there.
//
// Gradients of scale, shift and matrix are sums over all frames. A thread sums over its rows, a block over its threads,
// flow_reduce over the blocks, each in one order only: the same bits in every run.

constexpr int THREADS = 256, MEMBERS = 4, WARPS = THREADS / 32;
constexpr int LANES = 32, ROWS = THREADS / LANES;  // of flow_reduce: columns and rows that a block reads at a time
constexpr unsigned ALL = 0xffffffffu;

// Some channels of one half of a row.
template <int GROUPS>
struct Half {
    float at[2 * GROUPS];
};

template <int GROUPS>
__device__ __forceinline__ Half<GROUPS> load(const float* from) {
    Half<GROUPS> half;
    if constexpr (GROUPS == 2) {
        const float4 four = *reinterpret_cast<const float4*>(from);
        half.at[0] = four.x, half.at[1] = four.y, half.at[2] = four.z, half.at[3] = four.w;
    } else {
        const float2 two = *reinterpret_cast<const float2*>(from);
        half.at[0] = two.x, half.at[1] = two.y;
    }
    return half;
}

template <int GROUPS>
__device__ __forceinline__ void store(float* to, const Half<GROUPS>& half) {
    if constexpr (GROUPS == 2)
        *reinterpret_cast<float4*>(to) = make_float4(half.at[0], half.at[1], half.at[2], half.at[3]);
    else
        *reinterpret_cast<float2*>(to) = make_float2(half.at[0], half.at[1]);
}

// A piece of a row: both halves of GROUPS groups. Member i of group g is at [i / 2].at[2 g + i % 2].
template <int GROUPS>
struct Piece {
    Half<GROUPS> half[2];
    __device__ __forceinline__ float& member(int g, int i) { return half[i / 2].at[2 * g + i % 2]; }
    __device__ __forceinline__ void read(const float* row, int channels) {
        half[0] = load<GROUPS>(row);
        half[1] = load<GROUPS>(row + channels / 2);
    }
    __device__ __forceinline__ void write(float* row, int channels) const {
        store<GROUPS>(row, half[0]);
        store<GROUPS>(row + channels / 2, half[1]);
    }
    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int i = 0; i < MEMBERS * GROUPS; ++i) member(i / MEMBERS, i % MEMBERS) = 0.f;
    }
};

// The determinant of what is left of a matrix [4, 4] without row i and column j, with its sign.
__device__ __forceinline__ double cofactor(const float* matrix, int i, int j) {
    double m[3][3];
#pragma unroll
    for (int a = 0; a < 3; ++a)
#pragma unroll
        for (int b = 0; b < 3; ++b) m[a][b] = matrix[MEMBERS * (a + (a >= i)) + b + (b >= j)];
    const double d = m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) -
                     m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
                     m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
    return (i + j) % 2 ? -d : d;
}

__device__ __forceinline__ double determinant(const float* matrix) {
    double sum = 0;
#pragma unroll 1
    for (int j = 0; j < MEMBERS; ++j) sum += matrix[j] * cofactor(matrix, 0, j);
    return sum;
}

// log |det| of each item, by one block an item: what a frame adds, times the frames that count.
__device__ __forceinline__ void measure(
    const float* mask, const float* log_scale, const float* weight, float* log_determinant, int* counted, int items,
    int frames, int channels, float sign) {
    for (int item = blockIdx.x; item < items; item += gridDim.x) {
        int count = 0;
        for (int begin = 0; begin < frames; begin += THREADS) {
            const int frame = begin + threadIdx.x;
            count += __syncthreads_count(frame < frames && mask[(size_t)item * frames + frame] != 0.f);
        }
        if (threadIdx.x < 32) {
            float sum = 0;
            for (int c = threadIdx.x; c < channels; c += 32) sum += log_scale[c];
            for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(ALL, sum, step);
            if (threadIdx.x == 0) {
                const double mixing = log(fabs(determinant(weight))) * (channels / MEMBERS);
                log_determinant[item] = sign * (float)((sum + mixing) * count);
                counted[item] = count;
            }
        }
    }
}

template <int GROUPS, bool REVERSE>
__global__ void __launch_bounds__(THREADS) flow_map(
    const float* __restrict__ x, const float* __restrict__ mask, const float* __restrict__ log_scale,
    const float* __restrict__ bias, const float* __restrict__ weight, float* __restrict__ z,
    float* __restrict__ log_determinant, int* __restrict__ counted, int items, int frames, int channels) {
    __shared__ float matrix[MEMBERS * MEMBERS];
    measure(mask, log_scale, weight, log_determinant, counted, items, frames, channels, REVERSE ? -1.f : 1.f);
    const int i = threadIdx.x / MEMBERS, j = threadIdx.x % MEMBERS;
    if (threadIdx.x < MEMBERS * MEMBERS)
        matrix[threadIdx.x] = REVERSE ? (float)(cofactor(weight, j, i) / determinant(weight)) : weight[threadIdx.x];
    __syncthreads();
    const int units = channels / (MEMBERS * GROUPS), rows = THREADS / units;
    const int unit = threadIdx.x % units, first = threadIdx.x / units;
    if (first >= rows) return;
    float w[MEMBERS][MEMBERS];
#pragma unroll
    for (int k = 0; k < MEMBERS * MEMBERS; ++k) w[k / MEMBERS][k % MEMBERS] = matrix[k];
    const int column = 2 * GROUPS * unit;
    Piece<GROUPS> scale, shift, from, to;
    scale.read(log_scale + column, channels);
    shift.read(bias + column, channels);
#pragma unroll
    for (int k = 0; k < MEMBERS * GROUPS; ++k) {
        float& one = scale.member(k / MEMBERS, k % MEMBERS);
        one = expf(REVERSE ? -one : one);
    }
    const int total = items * frames;
    for (int row = blockIdx.x * rows + first; row < total; row += gridDim.x * rows) {
        const size_t place = (size_t)row * channels + column;
        if (mask[row] != 0.f) {
            from.read(x + place, channels);
#pragma unroll
            for (int g = 0; g < GROUPS; ++g) {
                float y[MEMBERS];
#pragma unroll
                for (int k = 0; k < MEMBERS; ++k) {
                    y[k] = from.member(g, k);
                    if (!REVERSE) y[k] = y[k] * scale.member(g, k) + shift.member(g, k);
                }
#pragma unroll
                for (int k = 0; k < MEMBERS; ++k) {
                    float sum = 0;
#pragma unroll
                    for (int l = 0; l < MEMBERS; ++l) sum += w[k][l] * y[l];
                    to.member(g, k) = REVERSE ? (sum - shift.member(g, k)) * scale.member(g, k) : sum;
                }
            }
        } else {
            to.clear();
        }
        to.write(z + place, channels);
    }
}

// Gradient of x, and what each block adds to the gradients of log scale, bias [channels] and matrix [16]: partial
// [gridDim.x, 2 channels + 16].
template <int GROUPS>
__global__ void __launch_bounds__(THREADS) flow_backward(
    const float* __restrict__ gradient, const float* __restrict__ x, const float* __restrict__ mask,
    const float* __restrict__ log_scale, const float* __restrict__ bias, const float* __restrict__ weight,
    float* __restrict__ gradient_x, float* __restrict__ partial, int total, int channels) {
    constexpr int HELD = MEMBERS * GROUPS;
    __shared__ float sums[THREADS][2 * HELD + 1];  // the 1 spreads a column over the banks
    __shared__ float matrices[WARPS][MEMBERS * MEMBERS];
    const int units = channels / HELD, rows = THREADS / units;
    const int unit = threadIdx.x % units, first = threadIdx.x / units;
    const int column = 2 * GROUPS * unit;
    float w[MEMBERS][MEMBERS], to_w[MEMBERS][MEMBERS];
#pragma unroll
    for (int k = 0; k < MEMBERS * MEMBERS; ++k) {
        w[k / MEMBERS][k % MEMBERS] = weight[k];
        to_w[k / MEMBERS][k % MEMBERS] = 0.f;
    }
    Piece<GROUPS> scale, shift, to_scale, to_shift, from, arriving;
    scale.read(log_scale + column, channels);
    shift.read(bias + column, channels);
    to_scale.clear();
    to_shift.clear();
#pragma unroll
    for (int k = 0; k < HELD; ++k) {
        float& one = scale.member(k / MEMBERS, k % MEMBERS);
        one = expf(one);
    }
    for (int row = blockIdx.x * rows + first; first < rows && row < total; row += gridDim.x * rows) {
        const size_t place = (size_t)row * channels + column;
        if (mask[row] != 0.f) {
            from.read(x + place, channels);
            arriving.read(gradient + place, channels);
#pragma unroll
            for (int g = 0; g < GROUPS; ++g) {
                float out[MEMBERS];
#pragma unroll
                for (int k = 0; k < MEMBERS; ++k) out[k] = arriving.member(g, k);
#pragma unroll
                for (int l = 0; l < MEMBERS; ++l) {
                    const float scaled = from.member(g, l) * scale.member(g, l), y = scaled + shift.member(g, l);
                    float to_y = 0;
#pragma unroll
                    for (int k = 0; k < MEMBERS; ++k) {
                        to_w[k][l] += out[k] * y;
                        to_y += w[k][l] * out[k];
                    }
                    to_scale.member(g, l) += to_y * scaled;
                    to_shift.member(g, l) += to_y;
                    arriving.member(g, l) = to_y * scale.member(g, l);
                }
            }
        } else {
            arriving.clear();
        }
        arriving.write(gradient_x + place, channels);
    }
#pragma unroll
    for (int k = 0; k < HELD; ++k) {
        sums[threadIdx.x][k] = to_scale.member(k / MEMBERS, k % MEMBERS);
        sums[threadIdx.x][HELD + k] = to_shift.member(k / MEMBERS, k % MEMBERS);
    }
#pragma unroll
    for (int k = 0; k < MEMBERS * MEMBERS; ++k) {
        float sum = to_w[k / MEMBERS][k % MEMBERS];
#pragma unroll
        for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(ALL, sum, step);
        if (threadIdx.x % 32 == 0) matrices[threadIdx.x / 32][k] = sum;
    }
    __syncthreads();
    float* out = partial + (size_t)blockIdx.x * (2 * channels + MEMBERS * MEMBERS);
    for (int c = threadIdx.x; c < 2 * channels; c += THREADS) {
        const int kind = c / channels, half = c % channels / (channels / 2), within = c % (channels / 2);
        const int holder = within / (2 * GROUPS), g = within % (2 * GROUPS) / 2;
        const int k = kind * HELD + g * MEMBERS + 2 * half + within % 2;
        float sum = 0;
        for (int r = 0; r < rows; ++r) sum += sums[r * units + holder][k];
        out[c] = sum;
    }
    if (threadIdx.x < MEMBERS * MEMBERS) {
        float sum = 0;
        for (int warp = 0; warp < WARPS; ++warp) sum += matrices[warp][threadIdx.x];
        out[2 * channels + threadIdx.x] = sum;
    }
}

// The sum of `partial` over the blocks, and what comes through log |det|.
__global__ void __launch_bounds__(THREADS) flow_reduce(
    const float* __restrict__ partial, const float* __restrict__ to_log_determinant, const int* __restrict__ counted,
    const float* __restrict__ weight, float* __restrict__ to_log_scale, float* __restrict__ to_bias,
    float* __restrict__ to_weight, int blocks, int items, int channels) {
    __shared__ float sums[ROWS][LANES];
    const int lane = threadIdx.x % LANES, row = threadIdx.x / LANES, width = 2 * channels + MEMBERS * MEMBERS;
    const int column = blockIdx.x * LANES + lane;
    float sum = 0;
    if (column < width)
        for (int block = row; block < blocks; block += ROWS) sum += partial[(size_t)block * width + column];
    sums[row][lane] = sum;
    __syncthreads();
    if (row > 0 || column >= width) return;
    for (int r = 1; r < ROWS; ++r) sum += sums[r][lane];
    if (column >= channels && column < 2 * channels) {
        to_bias[column - channels] = sum;
        return;
    }
    float each = 0;  // what the log |det| of one frame is worth
    for (int item = 0; item < items; ++item) each += to_log_determinant[item] * counted[item];
    if (column < channels) {
        to_log_scale[column] = sum + each;
    } else {
        const int k = column - 2 * channels;
        const float inverse = (float)(cofactor(weight, k / MEMBERS, k % MEMBERS) / determinant(weight));
        to_weight[k] = sum + each * (channels / MEMBERS) * inverse;
    }
}
