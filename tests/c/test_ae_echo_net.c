/* Truth: the same net in double precision with libm, as plainly as it can be written, from the same
 * weights. */
#include "ae_echo_net.h"

#include "ae_echo_net_weights.h"
#include "ae_math.h"
#include "ae_test.h"

#include <string.h>

/* The input struct is so many signals of AE_ECHO_BANDS powers, then flags, in the net's order. */
enum {
    k_bands = AE_ECHO_BANDS,
    k_inputs = sizeof(ae_echo_net_input) / sizeof(float),
    k_signals = k_inputs / k_bands,
    k_dense = AE_ECHO_NET_DENSE,
    k_state = AE_ECHO_NET_STATE,
    k_gates = 3 * k_state,
    k_joined = k_state + k_dense,
    k_outputs = 2 * k_bands
};
_Static_assert(sizeof k_dense_weights == k_inputs * k_dense, "weights of another input");
_Static_assert(sizeof k_input_gates_weights == k_dense * k_gates, "weights of another shape");
_Static_assert(sizeof k_state_gates_weights == k_state * k_gates, "weights of another shape");
_Static_assert(sizeof k_output_weights == k_joined * k_outputs, "weights of another shape");

static void as_floats(const ae_echo_net_input *in, float *values)
{
    memcpy(values, in, sizeof *in);
}

static ae_echo_net_input from_floats(const float *values)
{
    ae_echo_net_input in;
    memcpy(&in, values, sizeof in);
    return in;
}

typedef struct {
    double state[k_state];
} reference;

static double logistic(double x) { return 1.0 / (1.0 + exp(-x)); }

static double dot(const double *in, int inputs, const int8_t *weights, const float *scale,
                  int outputs, int output)
{
    double sum = 0.0;
    for (int i = 0; i < inputs; i++) sum += in[i] * (double)weights[i * outputs + output];
    return sum * (double)scale[output];
}

static void reference_update(reference *self, const ae_echo_net_input *in, double *gain,
                             double *mix)
{
    float values[k_inputs];
    double x[k_inputs], joined[k_joined], *dense = joined + k_state, next[k_state];
    as_floats(in, values);
    for (int i = 0; i < k_inputs; i++)
        x[i] = i < k_signals * k_bands ? (10.0 * log10((double)values[i] + 1e-10) + 60.0) / 20.0
                                       : (double)values[i];
    for (int o = 0; o < k_dense; o++)
        dense[o] = tanh(dot(x, k_inputs, k_dense_weights, k_dense_scale, k_dense, o) +
                        (double)k_dense_bias[o]);
    for (int i = 0; i < k_state; i++) {
        double from_input[3], from_state[3];
        for (int g = 0; g < 3; g++) {
            const int o = g * k_state + i;
            from_input[g] =
                dot(dense, k_dense, k_input_gates_weights, k_input_gates_scale, k_gates, o) +
                (double)k_gates_bias[o];
            from_state[g] =
                dot(self->state, k_state, k_state_gates_weights, k_state_gates_scale, k_gates, o);
        }
        const double reset = logistic(from_input[0] + from_state[0]);
        const double update = logistic(from_input[1] + from_state[1]);
        const double candidate =
            tanh(from_input[2] + reset * (from_state[2] + (double)k_candidate_bias[i]));
        next[i] = (1.0 - update) * self->state[i] + update * candidate;
    }
    memcpy(self->state, next, sizeof next);
    memcpy(joined, next, sizeof next);
    for (int b = 0; b < k_outputs; b++) {
        const double out =
            logistic(dot(joined, k_joined, k_output_weights, k_output_scale, k_outputs, b) +
                     (double)k_output_bias[b]);
        *(b < k_bands ? gain + b : mix + b - k_bands) = out;
    }
}

static ae_echo_net *make(void)
{
    ae_echo_net *self = NULL;
    CHECK(ae_echo_net_create(&self) == AE_OK);
    return self;
}

/* Powers over 100 dB that wander from hop to hop, flags that come and go. */
static ae_echo_net_input wander(float *level_db, uint32_t *seed)
{
    float values[k_inputs];
    for (int i = 0; i < k_inputs; i++) {
        level_db[i] = ae_clamp(level_db[i] + 15.0f * ae_random(seed), -110.0f, 0.0f);
        values[i] = i < k_signals * k_bands ? ae_power_from_db(level_db[i])
                    : i == k_signals * k_bands /* trust */
                        ? 0.5f + 0.5f * ae_random(seed)
                        : (float)(ae_random(seed) > 0.0f);
    }
    return from_floats(values);
}

static void fill_levels(float *level_db) { ae_fill(level_db, -50.0f, k_inputs); }

static void test_it_is_the_net_that_was_trained(void)
{
    ae_echo_net *self = make();
    static reference truth;
    float level_db[k_inputs], gain[k_bands], mix[k_bands];
    double wanted_gain[k_bands], wanted_mix[k_bands], worst = 0.0;
    uint32_t seed = 21;
    fill_levels(level_db);
    for (int t = 0; t < 400; t++) {
        const ae_echo_net_input in = wander(level_db, &seed);
        ae_echo_net_update(self, &in, gain, mix);
        reference_update(&truth, &in, wanted_gain, wanted_mix);
        for (int b = 0; b < k_bands; b++) {
            CHECK_NEAR(gain[b], wanted_gain[b], 1e-3);
            CHECK_NEAR(mix[b], wanted_mix[b], 1e-3);
            worst = fmax(worst, fabs((double)gain[b] - wanted_gain[b]));
        }
    }
    printf("largest error of a gain: %.1e\n", worst);
    ae_echo_net_destroy(self);
}

/* Two nets run in turn on different inputs: each is as if it were alone. */
static void test_two_objects_do_not_disturb_each_other(void)
{
    ae_echo_net *alone = make(), *beside = make(), *other = make();
    float level_db[k_inputs], other_db[k_inputs];
    uint32_t seed = 21, other_seed = 5;
    fill_levels(level_db);
    fill_levels(other_db);
    for (int t = 0; t < 100; t++) {
        const ae_echo_net_input in = wander(level_db, &seed),
                                else_in = wander(other_db, &other_seed);
        float a[2][k_bands], b[2][k_bands], c[2][k_bands];
        ae_echo_net_update(alone, &in, a[0], a[1]);
        ae_echo_net_update(other, &else_in, c[0], c[1]);
        ae_echo_net_update(beside, &in, b[0], b[1]);
        CHECK(memcmp(a, b, sizeof a) == 0);
    }
    ae_echo_net_destroy(alone);
    ae_echo_net_destroy(beside);
    ae_echo_net_destroy(other);
    ae_echo_net_destroy(NULL);
}

static void test_reset_is_new(void)
{
    ae_echo_net *used = make(), *fresh = make();
    float level_db[k_inputs];
    uint32_t seed = 21;
    fill_levels(level_db);
    const uint64_t allocations = ae_allocation_count();
    for (int t = 0; t < 100; t++) {
        const ae_echo_net_input in = wander(level_db, &seed);
        float gain[k_bands], mix[k_bands];
        ae_echo_net_update(used, &in, gain, mix);
    }
    ae_echo_net_reset(used);
    for (int t = 0; t < 50; t++) {
        const ae_echo_net_input in = wander(level_db, &seed);
        float a[2][k_bands], b[2][k_bands];
        ae_echo_net_update(used, &in, a[0], a[1]);
        ae_echo_net_update(fresh, &in, b[0], b[1]);
        CHECK(memcmp(a, b, sizeof a) == 0);
    }
    CHECK(ae_allocation_count() == allocations);
    ae_echo_net_destroy(used);
    ae_echo_net_destroy(fresh);
}

/* Whatever comes in, in every input or in one of them alone: gain and mix stay within 0 .. 1, then
 * and afterwards. */
static void test_bad_weather_passes(void)
{
    static const float values[] = {0.0f, 1e-30f, 1e-40f, 1e12f, 3e38f, INFINITY, NAN, -NAN};
    for (int kind = 0; kind < (int)(sizeof values / sizeof *values); kind++)
        for (int which = -1; which < k_inputs; which += which < k_signals * k_bands - 9 ? 9 : 1) {
            ae_echo_net *self = make();
            float level_db[k_inputs], bad[k_inputs];
            uint32_t seed = 21;
            fill_levels(level_db);
            for (int t = 0; t < 40; t++) {
                ae_echo_net_input in = wander(level_db, &seed);
                float gain[k_bands], mix[k_bands];
                as_floats(&in, bad);
                if (which < 0 && t < 20) ae_fill(bad, values[kind], k_inputs);
                if (which >= 0 && t < 20) bad[which] = values[kind];
                in = from_floats(bad);
                ae_echo_net_update(self, &in, gain, mix);
                for (int b = 0; b < k_bands; b++) { /* false for a NaN */
                    CHECK(gain[b] >= 0.0f && gain[b] <= 1.0f);
                    CHECK(mix[b] >= 0.0f && mix[b] <= 1.0f);
                }
            }
            ae_echo_net_destroy(self);
        }
}

int main(void)
{
    test_it_is_the_net_that_was_trained();
    test_two_objects_do_not_disturb_each_other();
    test_reset_is_new();
    test_bad_weather_passes();
    return AE_TEST_RESULT();
}
