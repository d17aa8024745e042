#include "ae_drift.h"

#include "ae_math.h"

/* The window holds the direct path and 16 ms of early reflections at 8 kHz; +-8 samples per second
 * are +-1000 ppm. */
enum { k_before = 32, k_window = 160, k_range = 8, k_span = k_window + 4 * k_range };
enum { k_shifts = 2 * k_range + 1, k_steps_per_sample = 8, k_most_pairs = 60 };
static const float k_least_agreement = 0.35f; /* of the averaged correlation: chance gives < 0.2 */

typedef struct {
    int start; /* lag of values[2 * k_range] less k_before; < 0: none */
    int valid;
    float values[k_span];
} window;

struct ae_drift {
    int distance; /* rounds between the two of a pair: one second */
    int at;       /* ring position */
    int pairs;
    window *windows; /* ring of distance + 1 */
    float mean[k_shifts];
};

ae_status ae_drift_create(ae_drift **out, const ae_drift_config *config)
{
    *out = NULL;
    if (!(config->rounds_per_second >= 1.0f && config->rounds_per_second <= 100.0f))
        return AE_ERROR_ARGUMENT;
    const int distance = (int)(config->rounds_per_second + 0.5f);
    ae_arena arena = {0};
    AE_TAKE(&arena, 1, ae_drift);
    AE_TAKE(&arena, distance + 1, window);
    arena.base = ae_allocate(arena.used);
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    arena.used = 0;
    ae_drift *self = AE_TAKE(&arena, 1, ae_drift);
    self->windows = AE_TAKE(&arena, distance + 1, window);
    self->distance = distance;
    ae_drift_reset(self);
    *out = self;
    return AE_OK;
}

void ae_drift_destroy(ae_drift *self) { ae_free(self); }

void ae_drift_reset(ae_drift *self)
{
    for (int i = 0; i <= self->distance; i++) self->windows[i].valid = 0;
    ae_zero(self->mean, k_shifts);
    self->at = self->pairs = 0;
}

int ae_drift_pairs(const ae_drift *self) { return self->pairs; }

static void advance(ae_drift *self) { self->at = (self->at + 1) % (self->distance + 1); }

void ae_drift_skip(ae_drift *self)
{
    self->windows[self->at].valid = 0;
    advance(self);
}

static float product(const float *restrict a, const float *restrict b)
{
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < k_window; i++) sum += a[i] * b[i];
    return sum;
}

/* Average in the cross-correlation of the window with the one a second ago. */
static void compare(ae_drift *self, const window *now, const window *before)
{
    /* Same absolute lags: the older window's middle against the newer one, shifted. */
    const int offset = before->start - now->start + 2 * k_range;
    if (offset < k_range || offset > 3 * k_range) return;
    const float *older = before->values + 2 * k_range;
    const float scale =
        1.0f / sqrtf(product(older, older) * ae_energy(now->values + offset, k_window) + 1e-20f);
    const int count = self->pairs < k_most_pairs ? self->pairs + 1 : k_most_pairs;
    for (int s = 0; s < k_shifts; s++) {
        const float value = scale * product(older, now->values + offset + s - k_range);
        self->mean[s] += (value - self->mean[s]) / (float)count;
    }
    self->pairs++;
}

void ae_drift_update(ae_drift *self, const float *correlation, int lags, int peak)
{
    window *now = &self->windows[self->at];
    now->start = peak - k_before;
    now->valid = 1;
    for (int i = 0; i < k_span; i++) {
        const int lag = now->start - 2 * k_range + i;
        now->values[i] = lag >= 0 && lag < lags ? correlation[lag] : 0.0f;
    }
    advance(self);
    const window *before = &self->windows[self->at];
    if (before->valid) compare(self, now, before);
}

/* The averaged correlation between its samples: sinc under a raised cosine. */
static float mean_at(const ae_drift *self, float shift)
{
    float sum = 0.0f;
    for (int s = 0; s < k_shifts; s++) {
        const float x = k_ae_pi * (shift - (float)(s - k_range));
        const float sinc = fabsf(x) < 1e-4f ? 1.0f : sinf(x) / x;
        const float part = ae_clamp(x / (float)(2 * k_range), -0.5f * k_ae_pi, 0.5f * k_ae_pi);
        sum += self->mean[s] * sinc * cosf(part) * cosf(part);
    }
    return sum;
}

float ae_drift_samples_per_second(const ae_drift *self)
{
    float best = 0.0f, best_shift = 0.0f, values[3] = {0.0f, 0.0f, 0.0f};
    int middle = 0;
    for (int s = 1; s < k_shifts - 1; s++)
        if (self->mean[s] > self->mean[s - 1] && self->mean[s] >= self->mean[s + 1] &&
            self->mean[s] > best) {
            best = self->mean[s];
            middle = s;
        }
    if (middle == 0) return 0.0f;
    const float step = 1.0f / (float)k_steps_per_sample;
    best = -1.0f;
    for (int i = -k_steps_per_sample; i <= k_steps_per_sample; i++) {
        const float shift = (float)(middle - k_range) + (float)i * step;
        const float value = mean_at(self, shift);
        if (value > best) {
            best = value;
            best_shift = shift;
        }
    }
    if (best < k_least_agreement) return 0.0f;
    for (int i = 0; i < 3; i++) values[i] = mean_at(self, best_shift + (float)(i - 1) * step);
    const float bend = values[0] - 2.0f * values[1] + values[2];
    if (bend < -1e-9f) best_shift += 0.5f * step * (values[0] - values[2]) / bend;
    return best_shift;
}
