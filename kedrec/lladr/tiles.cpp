// Tiles of distances and their gradients for CPUs. tiles.py says what they are; native.py compiles and calls them.
//
// Rows are contiguous and their parts padded with zeros to whole vectors. A row of two parts holds the first part of all
// coordinates, then the second. The gradient of a difference has opposite signs on its two sides, so one pass gives both.

#include <cstdint>
#include <cstring>
#include <vector>

#if defined(__AVX512F__)
#include <immintrin.h>
constexpr int LANES = 16;
#elif defined(__AVX__)
#include <immintrin.h>
constexpr int LANES = 8;
#else
#include <cmath>
constexpr int LANES = 4;
#endif

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t bits __attribute__((vector_size(4 * LANES)));

static inline vec load(const float* place) {
    vec value;
    std::memcpy(&value, place, sizeof value);
    return value;
}

static inline void store(float* place, vec value) { std::memcpy(place, &value, sizeof value); }

static inline vec absolute(vec value) { return (vec)((bits)value & 0x7fffffff); }

// The weight where the value is 0 or above, minus the weight below: a subgradient of |value| times the weight.
static inline vec signed_like(vec weight, vec value) { return (vec)((bits)weight ^ ((bits)value & INT32_MIN)); }

static inline float total(vec value) {
    float sum = 0;
    for (int lane = 0; lane < LANES; ++lane) sum += value[lane];
    return sum;
}

// 1 / sqrt(value) for value > 0: the processor's estimate and a step or two of Newton's method.
static inline vec inverse_root(vec value) {
#if defined(__AVX512F__)
    vec root = (vec)_mm512_rsqrt14_ps((__m512)value);
    return root * (1.5f - 0.5f * value * root * root);
#elif defined(__AVX__)
    vec root = (vec)_mm256_rsqrt_ps((__m256)value);
    root = root * (1.5f - 0.5f * value * root * root);
    return root * (1.5f - 0.5f * value * root * root);
#else
    vec root;
    for (int lane = 0; lane < LANES; ++lane) root[lane] = 1 / std::sqrt(value[lane]);
    return root;
#endif
}

// What tells the distances apart: the parts of a row, the parts of its gradient, one coordinate's share of the distance,
// and the derivative of that share by the query's parts, times a weight.

struct L1 {
    static constexpr int PARTS = 1, GRADIENTS = 1;
    static vec value(const vec* query, const vec* candidate) { return absolute(query[0] - candidate[0]); }
    static void gradient(vec weight, const vec* query, const vec* candidate, vec* out) {
        out[0] = signed_like(weight, query[0] - candidate[0]);
    }
};

// |q - e| of complex numbers: real parts, then imaginary ones.
struct Rotation {
    static constexpr int PARTS = 2, GRADIENTS = 2;
    static constexpr float TINY = 1e-30f;  // under a root, where a difference may be 0
    static vec value(const vec* query, const vec* candidate) {
        vec real = query[0] - candidate[0], imaginary = query[1] - candidate[1];
        vec square = real * real + imaginary * imaginary;
        return square * inverse_root(square + TINY);
    }
    static void gradient(vec weight, const vec* query, const vec* candidate, vec* out) {
        vec real = query[0] - candidate[0], imaginary = query[1] - candidate[1];
        vec share = weight * inverse_root(real * real + imaginary * imaginary + TINY);
        out[0] = share * real;
        out[1] = share * imaginary;
    }
};

// |sin(q - e)| of angles given by their sines, then their cosines; the gradient is that of the angles.
struct Sine {
    static constexpr int PARTS = 2, GRADIENTS = 1;
    static vec value(const vec* query, const vec* candidate) {
        return absolute(query[0] * candidate[1] - query[1] * candidate[0]);
    }
    static void gradient(vec weight, const vec* query, const vec* candidate, vec* out) {
        vec sine = query[0] * candidate[1] - query[1] * candidate[0];
        out[0] = signed_like(weight, sine) * (query[1] * candidate[1] + query[0] * candidate[0]);
    }
};

struct Shape {
    int64_t chunks, queries, candidates, dim;  // dim: of one part, whole vectors
    int threads;
};

// Distances of ROWS queries from one candidate: each coordinate of the candidate is read once for all of them.
template <class Kind, int ROWS>
static inline void distances(const float* queries, const float* candidate, float* out, const Shape& shape) {
    const int64_t width = Kind::PARTS * shape.dim;
    vec sums[ROWS] = {};
    for (int64_t at = 0; at < shape.dim; at += LANES) {
        vec right[Kind::PARTS], left[Kind::PARTS];
        for (int part = 0; part < Kind::PARTS; ++part) right[part] = load(candidate + part * shape.dim + at);
        for (int row = 0; row < ROWS; ++row) {
            for (int part = 0; part < Kind::PARTS; ++part)
                left[part] = load(queries + row * width + part * shape.dim + at);
            sums[row] += Kind::value(left, right);
        }
    }
    for (int row = 0; row < ROWS; ++row) out[row * shape.candidates] = total(sums[row]);
}

template <class Kind>
static void forward(const float* queries, const float* candidates, float* out, const Shape& shape) {
    constexpr int ROWS = 4;
    const int64_t width = Kind::PARTS * shape.dim, blocks = (shape.queries + ROWS - 1) / ROWS;
#pragma omp parallel for num_threads(shape.threads) schedule(static)
    for (int64_t task = 0; task < shape.chunks * blocks; ++task) {
        const int64_t chunk = task / blocks, first = task % blocks * ROWS;
        const float* left = queries + (chunk * shape.queries + first) * width;
        const float* right = candidates + chunk * shape.candidates * width;
        float* tile = out + (chunk * shape.queries + first) * shape.candidates;
        for (int64_t column = 0; column < shape.candidates; ++column) {
            const float* candidate = right + column * width;
            if (first + ROWS <= shape.queries)
                distances<Kind, ROWS>(left, candidate, tile + column, shape);
            else
                for (int64_t row = 0; row < shape.queries - first; ++row)
                    distances<Kind, 1>(left + row * width, candidate, tile + row * shape.candidates + column, shape);
        }
    }
}

// Gradients of one vector of coordinates: of ROWS queries, and what they add to those of all candidates of the chunk.
template <class Kind, int ROWS>
static inline void gradients(const float* weights, const float* queries, const vec* candidates, float* of_queries,
                             vec* of_candidates, const Shape& shape) {
    vec left[ROWS][Kind::PARTS], sums[ROWS][Kind::GRADIENTS] = {};
    for (int row = 0; row < ROWS; ++row)
        for (int part = 0; part < Kind::PARTS; ++part)
            left[row][part] = load(queries + (row * Kind::PARTS + part) * shape.dim);
    for (int64_t column = 0; column < shape.candidates; ++column) {
        const vec* right = candidates + column * Kind::PARTS;
        vec* mine = of_candidates + column * Kind::GRADIENTS;
        for (int row = 0; row < ROWS; ++row) {
            vec weight = vec{} + weights[row * shape.candidates + column], terms[Kind::GRADIENTS];
            Kind::gradient(weight, left[row], right, terms);
            for (int part = 0; part < Kind::GRADIENTS; ++part) {
                sums[row][part] += terms[part];
                mine[part] -= terms[part];
            }
        }
    }
    for (int row = 0; row < ROWS; ++row)
        for (int part = 0; part < Kind::GRADIENTS; ++part)
            store(of_queries + (row * Kind::GRADIENTS + part) * shape.dim, sums[row][part]);
}

template <class Kind>
static void backward(const float* weights, const float* queries, const float* candidates, float* of_queries,
                     float* of_candidates, const Shape& shape) {
    constexpr int ROWS = 2;
    const int64_t blocks = shape.dim / LANES;
#pragma omp parallel num_threads(shape.threads)
    {
        // One vector of all candidates, side by side: rows that begin at powers of two would share a set of the cache.
        std::vector<vec> right(shape.candidates * Kind::PARTS), sums(shape.candidates * Kind::GRADIENTS);
#pragma omp for schedule(static)
        for (int64_t task = 0; task < shape.chunks * blocks; ++task) {
            const int64_t chunk = task / blocks, at = task % blocks * LANES;
            const float* from = candidates + chunk * shape.candidates * Kind::PARTS * shape.dim + at;
            for (size_t row = 0; row < right.size(); ++row) right[row] = load(from + row * shape.dim);
            for (vec& sum : sums) sum = vec{};
            int64_t row = 0;
            const float* rows = weights + chunk * shape.queries * shape.candidates;
            const float* left = queries + chunk * shape.queries * Kind::PARTS * shape.dim + at;
            float* out = of_queries + chunk * shape.queries * Kind::GRADIENTS * shape.dim + at;
            for (; row + ROWS <= shape.queries; row += ROWS)
                gradients<Kind, ROWS>(rows + row * shape.candidates, left + row * Kind::PARTS * shape.dim, right.data(),
                                      out + row * Kind::GRADIENTS * shape.dim, sums.data(), shape);
            for (; row < shape.queries; ++row)
                gradients<Kind, 1>(rows + row * shape.candidates, left + row * Kind::PARTS * shape.dim, right.data(),
                                   out + row * Kind::GRADIENTS * shape.dim, sums.data(), shape);
            float* to = of_candidates + chunk * shape.candidates * Kind::GRADIENTS * shape.dim + at;
            for (size_t row = 0; row < sums.size(); ++row) store(to + row * shape.dim, sums[row]);
        }
    }
}

#define EXPORT(name, Kind)                                                                                          \
    extern "C" void name##_forward(const float* queries, const float* candidates, float* out, Shape shape) {        \
        forward<Kind>(queries, candidates, out, shape);                                                             \
    }                                                                                                               \
    extern "C" void name##_backward(const float* weights, const float* queries, const float* candidates,            \
                                    float* of_queries, float* of_candidates, Shape shape) {                         \
        backward<Kind>(weights, queries, candidates, of_queries, of_candidates, shape);                             \
    }

EXPORT(l1, L1)
EXPORT(rotation, Rotation)
EXPORT(sine, Sine)
