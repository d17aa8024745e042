#include "ae_speech_presence.h"

#include "ae_speech_presence_weights.h"
#include "ae_vector_math.h"

_Static_assert((int)k_inputs == (int)k_ae_speech_features,
               "the weights are of other features: train anew");

static const float k_surest = 30.0f; /* of a logit: beyond it nothing changes */

struct ae_speech_presence {
    ae_speech_features *features;
};

ae_status ae_speech_presence_create(ae_speech_presence **out,
                                    const ae_speech_features_config *config)
{
    *out = NULL;
    ae_speech_features *features = NULL;
    const ae_status status = ae_speech_features_create(&features, config);
    if (status != AE_OK) return status;
    ae_speech_presence *self = ae_allocate(sizeof(ae_speech_presence));
    if (self == NULL) {
        ae_speech_features_destroy(features);
        return AE_ERROR_MEMORY;
    }
    self->features = features;
    ae_speech_presence_reset(self);
    *out = self;
    return AE_OK;
}

void ae_speech_presence_destroy(ae_speech_presence *self)
{
    if (self == NULL) return;
    ae_speech_features_destroy(self->features);
    ae_free(self);
}

void ae_speech_presence_reset(ae_speech_presence *self)
{
    ae_speech_features_reset(self->features);
}

static inline float logistic(float x)
{
    return 1.0f / (1.0f + ae_exp2(-k_ae_log2_of_e * ae_clamp(x, -k_surest, k_surest)));
}

float ae_speech_presence_update(ae_speech_presence *self, const ae_speech_hop *hop)
{
    const float *heard = ae_speech_features_update(self->features, hop);
    float units[k_units], sum = 0.0f;
    ae_copy(units, k_hidden_bias, k_units);
    for (int i = 0; i < k_inputs; i++) {
        const float *restrict row = k_hidden + i * k_units;
        const float value = heard[i];
#pragma omp simd
        for (int u = 0; u < k_units; u++) units[u] += value * row[u];
    }
#pragma omp simd reduction(+ : sum)
    for (int u = 0; u < k_units; u++) /* tanh x = 2 logistic(2 x) - 1 */
        sum += k_output[u] * (2.0f * logistic(2.0f * units[u]) - 1.0f);
    return logistic(sum + k_output_bias[0]);
}
