#include "ae_echo_net.h"

#include "ae_echo_net_weights.h"
#include "ae_vector_math.h"

/* Inputs as they were in training: 10 log10 of the power, brought to about -3 .. 3. */
static const float k_least_power = 1e-10f, k_middle_db = 60.0f, k_span_db = 20.0f;
/* Far above anything heard. A NaN or infinity that got into the state would stay there. */
static const float k_most_power = 1e12f;

enum { k_bands = AE_ECHO_BANDS, k_signals = 7, k_flags = 4 };
enum {
    k_inputs = k_signals * k_bands + k_flags,
    k_dense = AE_ECHO_NET_DENSE,
    k_state = AE_ECHO_NET_STATE,
    k_gates = 3 * k_state,
    k_outputs = 2 * k_bands
};

_Static_assert(k_inputs == sizeof(ae_echo_net_input) / sizeof(float), "a count above is wrong");
_Static_assert(sizeof(k_dense_weights) == k_inputs * k_dense &&
                   sizeof(k_output_weights) == (k_state + k_dense) * k_outputs,
               "the weights were trained for other inputs or bands");

struct ae_echo_net {
    float *dense, *input_gates, *state_gates, *output; /* weights, [inputs][outputs] */
    float features[k_inputs + k_dense + k_state];      /* scratch */
    float activation[k_dense], gates[k_gates], candidates[k_gates];
    float state[k_state];
};

static ae_echo_net *lay_out(ae_arena *arena)
{
    ae_echo_net *self = AE_TAKE(arena, 1, ae_echo_net);
    float *dense = AE_TAKE(arena, k_inputs * k_dense, float);
    float *input_gates = AE_TAKE(arena, k_dense * k_gates, float);
    float *state_gates = AE_TAKE(arena, k_state * k_gates, float);
    float *output = AE_TAKE(arena, (k_state + k_dense) * k_outputs, float);
    if (self == NULL) return NULL;
    *self = (ae_echo_net){
        .dense = dense, .input_gates = input_gates, .state_gates = state_gates, .output = output};
    return self;
}

static void unpack(const int8_t *restrict packed, const float *restrict scale, int inputs,
                   int outputs, float *restrict to)
{
    for (int i = 0; i < inputs; i++)
        for (int o = 0; o < outputs; o++)
            to[i * outputs + o] = scale[o] * (float)packed[i * outputs + o];
}

ae_status ae_echo_net_create(ae_echo_net **out)
{
    *out = NULL;
    ae_arena arena = {0};
    lay_out(&arena);
    arena.base = ae_allocate(arena.used);
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    arena.used = 0;
    ae_echo_net *self = lay_out(&arena);
    unpack(k_dense_weights, k_dense_scale, k_inputs, k_dense, self->dense);
    unpack(k_input_gates_weights, k_input_gates_scale, k_dense, k_gates, self->input_gates);
    unpack(k_state_gates_weights, k_state_gates_scale, k_state, k_gates, self->state_gates);
    unpack(k_output_weights, k_output_scale, k_state + k_dense, k_outputs, self->output);
    *out = self;
    return AE_OK;
}

void ae_echo_net_destroy(ae_echo_net *self) { ae_free(self); }

void ae_echo_net_reset(ae_echo_net *self) { ae_zero(self->state, k_state); }

/* to = bias + in . weights */
static void multiply(const float *restrict in, int inputs, const float *restrict weights,
                     const float *restrict bias, int outputs, float *restrict to)
{
    ae_copy(to, bias, outputs);
    for (int i = 0; i < inputs; i++) {
        const float *restrict row = weights + i * outputs;
        const float x = in[i];
#pragma omp simd
        for (int o = 0; o < outputs; o++) to[o] += x * row[o];
    }
}

static inline float logistic(float x) { return 1.0f / (1.0f + ae_exp2(-k_ae_log2_of_e * x)); }

static inline float hyperbolic_tangent(float x) { return 2.0f * logistic(2.0f * x) - 1.0f; }

/* A NaN gives the lower bound. */
static inline float within(float value, float least, float most)
{
    return ae_min(ae_max(value, least), most);
}

static void find_features(ae_echo_net *self, const ae_echo_net_input *in)
{
    const float *signals[k_signals] = {in->error,   in->prior_error,   in->capture, in->echo,
                                       in->far_end, in->misadjustment, in->residual};
    float *restrict to = self->features;
    for (int s = 0; s < k_signals; s++) {
        const float *restrict power = signals[s];
#pragma omp simd
        for (int b = 0; b < k_bands; b++)
            to[s * k_bands + b] =
                (ae_log2(within(power[b], 0.0f, k_most_power) + k_least_power) / k_ae_log2_per_db +
                 k_middle_db) /
                k_span_db;
    }
    float *flags = to + k_signals * k_bands;
    flags[0] = within(in->trust, 0.0f, 1.0f);
    flags[1] = within(in->capture_clipped, 0.0f, 1.0f);
    flags[2] = within(in->far_active, 0.0f, 1.0f);
    flags[3] = within(in->lag_found, 0.0f, 1.0f);
}

/* Gates in the order reset, update, candidate. */
static void step_state(ae_echo_net *self)
{
    static const float k_none[k_gates] = {0};
    float *restrict from_input = self->gates, *restrict from_state = self->candidates;
    float *restrict state = self->state;
    multiply(self->activation, k_dense, self->input_gates, k_gates_bias, k_gates, from_input);
    multiply(self->state, k_state, self->state_gates, k_none, k_gates, from_state);
#pragma omp simd
    for (int i = 0; i < k_state; i++) {
        const float reset = logistic(from_input[i] + from_state[i]);
        const float update = logistic(from_input[k_state + i] + from_state[k_state + i]);
        const float candidate =
            hyperbolic_tangent(from_input[2 * k_state + i] +
                               reset * (from_state[2 * k_state + i] + k_candidate_bias[i]));
        state[i] += update * (candidate - state[i]);
    }
}

void ae_echo_net_update(ae_echo_net *self, const ae_echo_net_input *in, float *gain, float *mix)
{
    find_features(self, in);
    multiply(self->features, k_inputs, self->dense, k_dense_bias, k_dense, self->activation);
    for (int i = 0; i < k_dense; i++) self->activation[i] = hyperbolic_tangent(self->activation[i]);
    step_state(self);
    float *joined = self->features; /* no longer needed in this hop */
    ae_copy(joined, self->state, k_state);
    ae_copy(joined + k_state, self->activation, k_dense);
    float result[k_outputs];
    multiply(joined, k_state + k_dense, self->output, k_output_bias, k_outputs, result);
#pragma omp simd
    for (int b = 0; b < k_bands; b++) {
        gain[b] = logistic(result[b]);
        mix[b] = logistic(result[k_bands + b]);
    }
}
