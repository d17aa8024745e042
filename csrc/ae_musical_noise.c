#include "ae_musical_noise.h"

#include "ae_vector_math.h"

enum { k_max_points = 65536 };

static const float k_share_most = 0.085f; /* 0.4 in the paper smears weak speech */
static const float k_reach_most = 8.0f;   /* points each side */

struct ae_musical_noise {
    int points;
    float *mean; /* [points] */
};

ae_status ae_musical_noise_create(ae_musical_noise **out, const ae_musical_noise_config *config)
{
    *out = NULL;
    if (config->points < 1 || config->points > k_max_points) return AE_ERROR_ARGUMENT;
    ae_arena arena = {0};
    AE_TAKE(&arena, 1, ae_musical_noise);
    AE_TAKE(&arena, config->points, float);
    arena.base = ae_allocate(arena.used);
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    arena.used = 0;
    ae_musical_noise *self = AE_TAKE(&arena, 1, ae_musical_noise);
    self->mean = AE_TAKE(&arena, config->points, float);
    self->points = config->points;
    *out = self;
    return AE_OK;
}

void ae_musical_noise_destroy(ae_musical_noise *self) { ae_free(self); }

void ae_musical_noise_smooth(ae_musical_noise *self, const float *power, float *gain_log2)
{
    const int points = self->points;
    float before = 1e-20f, after = 0.0f;
#pragma omp simd reduction(+ : before, after)
    for (int k = 0; k < points; k++) {
        before += power[k];
        after += power[k] * ae_exp2(2.0f * gain_log2[k]);
    }
    const float share = after / before;
    const int reach = (int)(k_reach_most * (1.0f - share / k_share_most) + 0.5f);
    if (share >= k_share_most || reach < 1) return;
    float *restrict mean = self->mean;
    ae_moving_mean(gain_log2, mean, points, reach);
    for (int k = 0; k < points; k++) gain_log2[k] = ae_min(mean[k], 0.0f);
}
