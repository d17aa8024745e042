/* ae_net.h - layers of a small recurrent net: dense, recurrent, and steps over frequency.
 *
 * Dense layers come in two kinds. ae_net_dense has its weights as floats and is applied to many
 * rows at once, five rows by sixteen outputs in registers, so that a weight is loaded once for five
 * rows. ae_net_wide has more weights than the second cache holds as floats, and one row to multiply
 * them with. They are 8-bit numbers with one scale per output, each kept as the upper half of the
 * float that it is, two in a word: a shift and a mask make two floats, and fetching takes half as
 * long.
 * Both keep weights as [inputs][outputs], so the innermost loop runs over outputs.
 * The recurrent layer is the GRU of Cho et al. 2014 in the form with the reset gate behind the
 * product. A convolution over frequency that takes four neighbours and steps by two is a dense
 * layer on overlapping rows: rows of 4 c values, 2 c apart, in a plane with one point of zeros
 * around it. Thread: any; no state. */
#ifndef AE_NET_H
#define AE_NET_H

#include "ae_common.h"
#include "ae_vector_math.h"

/* out = bias + in . weights */
typedef struct {
    int inputs, outputs;
    const float *weights; /* [inputs][stride], stride: ae_net_stride(outputs) */
    const float *bias;    /* [stride], like weights 0 behind the outputs */
} ae_net_dense;

/* out = bias + scale (in . weights) */
typedef struct {
    int inputs, outputs;       /* outputs: a multiple of 8 */
    const uint32_t *weights;   /* [outputs * inputs / 2], see ae_net_wide_put */
    const float *scale, *bias; /* [outputs] */
} ae_net_wide;

/* Puts a wide layer's number where ae_net_wide_apply expects it, into words that were 0. */
void ae_net_wide_put(uint32_t *weights, int outputs, int inputs, int output, int input,
                     int8_t number);
/* That number again. */
float ae_net_wide_number(const ae_net_wide *self, int output, int input);
/* Outputs are kept in rows of that many values: a multiple of 8. */
int ae_net_stride(int outputs);
/* Rows of `in` begin in_step values apart and may overlap; those of `out` ae_net_stride(outputs).
 * out overlaps nothing. */
void ae_net_dense_apply(const ae_net_dense *self, const float *in, int in_step, int rows,
                        float *out);
/* in: [inputs], out: [outputs]; they must not overlap. */
void ae_net_wide_apply(const ae_net_wide *self, const float *in, float *out);
/* The next state of `rows` recurrent rows from the two dense layers' outputs, [rows][3 count] each,
 * in the order reset, update, new. state: [rows][count], count a multiple of 8. */
void ae_net_recur(const float *from_input, const float *from_state, int rows, int count,
                  float *state);
/* Adds up what each of `rows` gives to its four neighbours, [rows][4 channels], to
 * [2 rows][out_step], of which the first `channels` are written: point 2k - 1 + i gets part i of
 * row k; what falls beyond the ends is left out. */
void ae_net_overlap(const float *in, int in_step, int rows, int channels, float *out, int out_step);

/* 1 / (1 + exp(-x)) and tanh(x), within 1e-6; x: any finite number. */
static inline float ae_net_logistic(float x)
{
    return 1.0f / (1.0f + ae_exp2(-k_ae_log2_of_e * x));
}

static inline float ae_net_tanh(float x)
{
    return 1.0f - 2.0f / (1.0f + ae_exp2(2.0f * k_ae_log2_of_e * x));
}

#endif
