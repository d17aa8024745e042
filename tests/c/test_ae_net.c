/* Truth: the same layers in double precision, as plainly as they can be written. */
#include "ae_net.h"

#include "ae_math.h"
#include "ae_test.h"

enum { k_most = 1 << 16, k_most_rows = 52 };

static float weights[k_most], in[k_most], out[k_most], scale[1024], bias[1024];
static uint32_t numbers[k_most];

static void randomise(float *values, int count, uint32_t *seed)
{
    for (int i = 0; i < count; i++) values[i] = ae_random(seed);
}

static void test_dense_rows_are_products(void)
{
    static const int sizes[][4] = {/* inputs, outputs, rows, step */
                                   {28, 24, 50, 14}, {96, 24, 25, 48}, {24, 72, 25, 24},
                                   {48, 4, 50, 48},  {48, 12, 32, 48}, {64, 1, 1, 64},
                                   {1, 8, 7, 1},     {64, 128, 25, 64}};
    uint32_t seed = 3;
    for (int n = 0; n < 8; n++) {
        const int inputs = sizes[n][0], outputs = sizes[n][1], rows = sizes[n][2];
        const int step = sizes[n][3], stride = ae_net_stride(outputs);
        CHECK(stride >= outputs && stride < outputs + 8 && stride % 8 == 0);
        randomise(weights, inputs * stride, &seed);
        randomise(bias, stride, &seed);
        randomise(in, rows * step + inputs, &seed);
        const ae_net_dense layer = {inputs, outputs, weights, bias};
        ae_net_dense_apply(&layer, in, step, rows, out);
        for (int r = 0; r < rows; r++)
            for (int o = 0; o < outputs; o++) {
                double sum = (double)bias[o];
                for (int i = 0; i < inputs; i++)
                    sum += (double)in[r * step + i] * (double)weights[i * stride + o];
                CHECK_NEAR(out[r * stride + o], sum, 1e-5);
            }
    }
}

static void test_wide_layers_are_products(void)
{
    static const int sizes[][2] = {{600, 64}, {64, 600}, {64, 192}, {32, 8}, {16, 72}, {200, 128}};
    uint32_t seed = 4;
    for (int n = 0; n < 6; n++) {
        const int inputs = sizes[n][0], outputs = sizes[n][1];
        static double plain[1024][1024];
        memset(numbers, 0, sizeof numbers);
        randomise(scale, outputs, &seed);
        randomise(bias, outputs, &seed);
        randomise(in, inputs, &seed);
        for (int o = 0; o < outputs; o++)
            for (int i = 0; i < inputs; i++) {
                const int8_t number = (int8_t)(127.0f * ae_random(&seed));
                ae_net_wide_put(numbers, outputs, inputs, o, i, number);
                plain[o][i] = (double)number;
            }
        const ae_net_wide layer = {inputs, outputs, numbers, scale, bias};
        ae_net_wide_apply(&layer, in, out);
        for (int o = 0; o < outputs; o++) {
            double sum = 0.0;
            for (int i = 0; i < inputs; i++) {
                CHECK((double)ae_net_wide_number(&layer, o, i) == plain[o][i]);
                sum += plain[o][i] * (double)in[i];
            }
            CHECK_NEAR(out[o], (double)bias[o] + (double)scale[o] * sum, 5e-3); /* of thousands */
        }
    }
}

static double logistic(double x) { return 1.0 / (1.0 + exp(-x)); }

static void test_the_recurrence_is_the_grus(void)
{
    enum { k_count = 24, k_rows = 3 };
    static float from_input[k_rows * 3 * k_count], from_state[k_rows * 3 * k_count];
    static float state[k_rows * k_count];
    static double wanted[k_rows * k_count];
    uint32_t seed = 5;
    for (int t = 0; t < 50; t++) {
        for (int i = 0; i < k_rows * 3 * k_count; i++) {
            from_input[i] = 4.0f * ae_random(&seed);
            from_state[i] = 4.0f * ae_random(&seed);
        }
        ae_net_recur(from_input, from_state, k_rows, k_count, state);
        for (int r = 0; r < k_rows; r++)
            for (int i = 0; i < k_count; i++) {
                const float *x = from_input + r * 3 * k_count + i;
                const float *h = from_state + r * 3 * k_count + i;
                double *s = wanted + r * k_count + i;
                const double reset = logistic((double)x[0] + (double)h[0]);
                const double update = logistic((double)x[k_count] + (double)h[k_count]);
                const double fresh = tanh((double)x[2 * k_count] + reset * (double)h[2 * k_count]);
                *s = (1.0 - update) * fresh + update * *s;
                CHECK_NEAR(state[r * k_count + i], *s, 1e-5);
            }
    }
}

/* Row k gives 1000 k + 10 part + channel to point 2k - 1 + part. */
static void test_overlapping_rows_add_up(void)
{
    enum { k_rows = 5, k_channels = 3, k_step = 16, k_out = 4 };
    float rows[k_rows * k_step] = {0}, wanted[2 * k_rows][k_channels] = {{0}};
    float points[2 * k_rows * k_out];
    ae_fill(points, -1.0f, 2 * k_rows * k_out);
    for (int k = 0; k < k_rows; k++)
        for (int part = 0; part < 4; part++)
            for (int c = 0; c < k_channels; c++) {
                const float value = (float)(1000 * k + 10 * part + c);
                const int point = 2 * k - 1 + part;
                rows[k * k_step + part * k_channels + c] = value;
                if (point >= 0 && point < 2 * k_rows) wanted[point][c] += value;
            }
    ae_net_overlap(rows, k_step, k_rows, k_channels, points, k_out);
    for (int p = 0; p < 2 * k_rows; p++) {
        for (int c = 0; c < k_channels; c++) CHECK(points[p * k_out + c] == wanted[p][c]);
        CHECK(points[p * k_out + k_channels] == -1.0f); /* not ours */
    }
}

static void test_curves_are_close_everywhere(void)
{
    for (int i = -4000; i <= 4000; i++) {
        const float x = 0.01f * (float)i;
        CHECK_NEAR(ae_net_logistic(x), logistic((double)x), 1e-6);
        CHECK_NEAR(ae_net_tanh(x), tanh((double)x), 1e-6);
    }
    CHECK_NEAR(ae_net_logistic(-3e38f), 0.0, 1e-6);
    CHECK_NEAR(ae_net_logistic(3e38f), 1.0, 1e-6);
    CHECK_NEAR(ae_net_tanh(-3e38f), -1.0, 1e-6);
    CHECK_NEAR(ae_net_tanh(3e38f), 1.0, 1e-6);
}

int main(void)
{
    test_dense_rows_are_products();
    test_wide_layers_are_products();
    test_the_recurrence_is_the_grus();
    test_overlapping_rows_add_up();
    test_curves_are_close_everywhere();
    return AE_TEST_RESULT();
}
