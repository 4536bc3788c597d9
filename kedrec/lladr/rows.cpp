// Optimisers of the rows of a table that have a gradient. row_optimizers.py says what they are; native.py calls them.
//
// A row may have several gradients, which are summed. They come with the rows' numbers in ascending order and with the
// place of each gradient, so that a thread owns whole rows and sums are made in one order whatever the threads.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

struct Gradients {
    const int64_t *rows, *places;  // (count): ascending rows, and where their gradients are in values
    const float* values;           // (count, width)
    int64_t count, width;
    int threads;
};

// Call update(row, gradient) once for each row.
template <class Update>
static void each_row(const Gradients& given, Update update) {
#pragma omp parallel for num_threads(given.threads) schedule(static)
    for (int thread = 0; thread < given.threads; ++thread) {
        std::vector<float> sum(given.width);
        const int64_t begin = given.count * thread / given.threads, end = given.count * (thread + 1) / given.threads;
        for (int64_t first = begin, last; first < end; first = last) {
            const int64_t row = given.rows[first];
            for (last = first + 1; last < given.count && given.rows[last] == row;) ++last;
            if (first > 0 && given.rows[first - 1] == row) continue;  // the thread before owns it
            const float* gradient = given.values + given.places[first] * given.width;
            if (last > first + 1) {
                std::copy(gradient, gradient + given.width, sum.begin());
                for (int64_t other = first + 1; other < last; ++other) {
                    const float* more = given.values + given.places[other] * given.width;
                    for (int64_t at = 0; at < given.width; ++at) sum[at] += more[at];
                }
                gradient = sum.data();
            }
            update(row, gradient);
        }
    }
}

extern "C" void row_adagrad(float* table, float* totals, Gradients given, float rate, float eps) {
    each_row(given, [=](int64_t row, const float* gradient) {
        float* numbers = table + row * given.width;
        constexpr int PARTIAL = 64;  // a cache line or more at a time, in sums that need not wait for one another
        float squares[PARTIAL] = {}, square = 0;
        int64_t at = 0;
        for (; at + PARTIAL <= given.width; at += PARTIAL) {
            for (int line = 0; line < PARTIAL; line += 16) __builtin_prefetch(numbers + at + line, 1);
            for (int lane = 0; lane < PARTIAL; ++lane) squares[lane] += gradient[at + lane] * gradient[at + lane];
        }
        for (; at < given.width; ++at) square += gradient[at] * gradient[at];
        for (float part : squares) square += part;
        totals[row] += square / given.width;
        const float step = rate / (std::sqrt(totals[row]) + eps);
        for (at = 0; at < given.width; ++at) numbers[at] -= step * gradient[at];
    });
}

// rate and correction hold what the steps so far make of the bias of the two moments.
extern "C" void row_adam(float* table, float* means, float* squares, Gradients given, float rate, float correction,
                         float first, float second, float eps) {
    each_row(given, [=](int64_t row, const float* gradient) {
        float *numbers = table + row * given.width, *mean = means + row * given.width;
        float* square = squares + row * given.width;
#pragma omp simd
        for (int64_t at = 0; at < given.width; ++at) {
            mean[at] += (1 - first) * (gradient[at] - mean[at]);
            square[at] = second * square[at] + (1 - second) * gradient[at] * gradient[at];
            numbers[at] -= rate * mean[at] / (std::sqrt(square[at]) / correction + eps);
        }
    });
}
