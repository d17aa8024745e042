#include "ae_echo_gain.h"

#include "ae_vector_math.h"

enum { k_max_bins = 65536 };

/* Rule and figures: tuned on the echo scenes of the notes (prototype of notes/aec.md 2.4). */
static const float k_over_near = 1.3f, k_over_echo = 8.0f;
static const float k_floor_near_db = -22.0f, k_floor_echo_db = -52.0f;
static const float k_up_least = 0.45f, k_up_near = 0.5f, k_down = 0.8f;

struct ae_echo_gain {
    int bins;
    float *state; /* [bins] */
};

ae_status ae_echo_gain_create(ae_echo_gain **out, const ae_echo_gain_config *config)
{
    *out = NULL;
    if (config->bins < 2 || config->bins > k_max_bins) return AE_ERROR_ARGUMENT;
    ae_arena arena = {0};
    AE_TAKE(&arena, 1, ae_echo_gain);
    AE_TAKE(&arena, config->bins, float);
    arena.base = ae_allocate(arena.used);
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    arena.used = 0;
    ae_echo_gain *self = AE_TAKE(&arena, 1, ae_echo_gain);
    self->state = AE_TAKE(&arena, config->bins, float);
    self->bins = config->bins;
    ae_echo_gain_reset(self);
    *out = self;
    return AE_OK;
}

void ae_echo_gain_destroy(ae_echo_gain *self) { ae_free(self); }
void ae_echo_gain_reset(ae_echo_gain *self) { ae_fill(self->state, 1.0f, self->bins); }

void ae_echo_gain_update(ae_echo_gain *self, const float *power, const float *residual_power,
                         const float *near_end_presence, float *gain)
{
    const int bins = self->bins;
    float *restrict state = self->state;
#pragma omp simd
    for (int k = 0; k < bins; k++) {
        const float near_end = near_end_presence[k];
        const float over = k_over_near + k_over_echo * (1.0f - near_end);
        const float wanted = fmaxf(1.0f - over * residual_power[k] / (power[k] + 1e-20f), 0.0f);
        const float rate = wanted > state[k] ? k_up_least + k_up_near * near_end : k_down;
        const float floor_db = k_floor_echo_db + (k_floor_near_db - k_floor_echo_db) * near_end;
        const float least = ae_exp2(0.5f * k_ae_log2_per_db * floor_db);
        state[k] = fminf(fmaxf(state[k] + rate * (wanted - state[k]), least), 1.0f);
    }
    gain[0] = 0.75f * state[0] + 0.25f * state[1];
    for (int k = 1; k < bins - 1; k++)
        gain[k] = 0.25f * (state[k - 1] + state[k + 1]) + 0.5f * state[k];
    gain[bins - 1] = 0.75f * state[bins - 1] + 0.25f * state[bins - 2];
}
