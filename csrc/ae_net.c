#include "ae_net.h"

/* Sizes of the tiles that stay in registers: ten sums of eight values each, or eight in a strip. */
enum { k_rows = 5, k_pair = 16, k_more_rows = 10, k_single = 8, k_strip = 64 };

int ae_net_stride(int outputs) { return (outputs + 7) / 8 * 8; }

/* In strips of 64 outputs, then of 8: [strip][inputs][width / 2] words, the first half of the
 * strip's outputs in the lower halves, the second in the upper ones. */
static int word_of(int outputs, int inputs, int output, int input, int *is_upper)
{
    const int width = output < outputs / k_strip * k_strip ? k_strip : k_single;
    const int within = output % width, half = width / 2;
    *is_upper = within >= half;
    return (output - within) * inputs / 2 + input * half + within % half;
}

void ae_net_wide_put(uint32_t *weights, int outputs, int inputs, int output, int input,
                     int8_t number)
{
    int is_upper = 0;
    const int word = word_of(outputs, inputs, output, input, &is_upper);
    const uint32_t upper = (uint32_t)ae_bits_of((float)number); /* 8 bits: the lower half is 0 */
    weights[word] |= is_upper ? upper : upper >> 16;
}

float ae_net_wide_number(const ae_net_wide *self, int output, int input)
{
    int is_upper = 0;
    const int word = word_of(self->outputs, self->inputs, output, input, &is_upper);
    const uint32_t both = self->weights[word];
    return ae_float_of((int32_t)(is_upper ? both & 0xffff0000u : both << 16));
}

/* `rows` x `width` outputs; both are constants where it is called, so the sums are registers. */
static inline __attribute__((always_inline)) void
multiply_tile(const float *restrict in, int in_step, int rows, const float *restrict weights,
              int inputs, int stride, const float *restrict bias, int width, float *restrict out)
{
    float sum[k_more_rows][k_pair];
    for (int r = 0; r < rows; r++)
#pragma omp simd
        for (int o = 0; o < width; o++) sum[r][o] = bias[o];
    for (int i = 0; i < inputs; i++) {
        const float *restrict row = weights + i * stride;
        for (int r = 0; r < rows; r++) {
            const float x = in[r * in_step + i];
#pragma omp simd
            for (int o = 0; o < width; o++) sum[r][o] += x * row[o];
        }
    }
    for (int r = 0; r < rows; r++)
#pragma omp simd
        for (int o = 0; o < width; o++) out[r * stride + o] = sum[r][o];
}

/* `width` outputs, a constant, of all rows: in tiles of `tall` rows, then of 5, then of 1. */
static inline __attribute__((always_inline)) void
multiply_rows(const float *in, int in_step, int rows, int tall, const float *weights, int inputs,
              int stride, const float *bias, int width, float *out)
{
    int r = 0;
    for (; r + tall <= rows; r += tall)
        multiply_tile(in + r * in_step, in_step, tall, weights, inputs, stride, bias, width,
                      out + r * stride);
    for (; r + k_rows <= rows; r += k_rows)
        multiply_tile(in + r * in_step, in_step, k_rows, weights, inputs, stride, bias, width,
                      out + r * stride);
    for (; r < rows; r++)
        multiply_tile(in + r * in_step, in_step, 1, weights, inputs, stride, bias, width,
                      out + r * stride);
}

void ae_net_dense_apply(const ae_net_dense *self, const float *in, int in_step, int rows,
                        float *out)
{
    const int inputs = self->inputs, stride = ae_net_stride(self->outputs);
    int o = 0;
    for (; o + k_pair <= stride; o += k_pair)
        multiply_rows(in, in_step, rows, k_rows, self->weights + o, inputs, stride, self->bias + o,
                      k_pair, out + o);
    if (o < stride)
        multiply_rows(in, in_step, rows, k_more_rows, self->weights + o, inputs, stride,
                      self->bias + o, k_single, out + o);
}

/* One strip of a wide layer; half of its width is a constant where it is called. */
static inline __attribute__((always_inline)) void
multiply_strip(const float *restrict in, int inputs, const uint32_t *restrict weights, int half,
               const float *restrict scale, const float *restrict bias, float *restrict out)
{
    float low[k_strip / 2] = {0}, high[k_strip / 2] = {0};
    for (int i = 0; i < inputs; i++) {
        const uint32_t *restrict row = weights + i * half;
        const float x = in[i];
#pragma omp simd
        for (int o = 0; o < half; o++) {
            low[o] += x * ae_float_of((int32_t)(row[o] << 16));
            high[o] += x * ae_float_of((int32_t)(row[o] & 0xffff0000u));
        }
    }
#pragma omp simd
    for (int o = 0; o < half; o++) {
        out[o] = bias[o] + scale[o] * low[o];
        out[half + o] = bias[half + o] + scale[half + o] * high[o];
    }
}

void ae_net_wide_apply(const ae_net_wide *self, const float *in, float *out)
{
    const int inputs = self->inputs, whole = self->outputs / k_strip * k_strip;
    for (int o = 0; o < whole; o += k_strip)
        multiply_strip(in, inputs, self->weights + o * inputs / 2, k_strip / 2, self->scale + o,
                       self->bias + o, out + o);
    for (int o = whole; o < self->outputs; o += k_single)
        multiply_strip(in, inputs, self->weights + o * inputs / 2, k_single / 2, self->scale + o,
                       self->bias + o, out + o);
}

void ae_net_recur(const float *from_input, const float *from_state, int rows, int count,
                  float *state)
{
    for (int r = 0; r < rows; r++) {
        const float *restrict x = from_input + r * 3 * count;
        const float *restrict h = from_state + r * 3 * count;
        float *restrict s = state + r * count;
#pragma omp simd
        for (int i = 0; i < count; i++) {
            const float reset = ae_net_logistic(x[i] + h[i]);
            const float update = ae_net_logistic(x[count + i] + h[count + i]);
            const float fresh = ae_net_tanh(x[2 * count + i] + reset * h[2 * count + i]);
            s[i] = fresh + update * (s[i] - fresh);
        }
    }
}

void ae_net_overlap(const float *in, int in_step, int rows, int channels, float *out, int out_step)
{
    for (int k = 0; k < rows; k++) {
        const float *restrict row = in + k * in_step;
        float *restrict even = out + 2 * k * out_step, *restrict odd = even + out_step;
        const float *left = k > 0 ? row - in_step + 3 * channels : NULL;
        const float *right = k + 1 < rows ? row + in_step : NULL;
#pragma omp simd
        for (int c = 0; c < channels; c++) {
            even[c] = row[channels + c];
            odd[c] = row[2 * channels + c];
        }
        for (int c = 0; left != NULL && c < channels; c++) even[c] += left[c];
        for (int c = 0; right != NULL && c < channels; c++) odd[c] += right[c];
    }
}
