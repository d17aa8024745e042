#include "ae_lip_lags.h"

#include "ae_fft.h"
#include "ae_math.h"

#include <assert.h>

/* Of a mean square: signals have a variance near 1, so less than this is rounding. */
static const float k_least_variance = 1e-6f;

typedef struct {
    float *re, *im;
} spectrum;

struct ae_lip_lags {
    int max_frames, max_lag, size; /* of the transform: no lag wraps around */
    int frames;
    ae_fft *fft;
    float *weight, *present;      /* padded with zeros to `size` */
    float *time;                  /* what is transformed */
    spectrum weights, presence;   /* of the two */
    spectrum mouth, mouth_square; /* each times the weight */
    spectrum audio, audio_square; /* each where present */
    spectrum product;             /* conjugate of one times the other */
    float *share;                 /* weight that a lag uses */
    float *lag_root;              /* root of its share of the whole, 0: not used */
    float *sum_mouth, *sum_mouth_square, *sum_audio, *sum_audio_square, *sum_both; /* per lag */
    float *scores;
};

static spectrum take_spectrum(ae_arena *arena, int bins)
{
    spectrum taken;
    taken.re = AE_TAKE(arena, bins, float);
    taken.im = AE_TAKE(arena, bins, float);
    return taken;
}

static ae_lip_lags *layout(ae_lip_lags *plan, ae_arena *arena)
{
    ae_lip_lags *self = AE_TAKE(arena, 1, ae_lip_lags);
    const int bins = plan->size / 2 + 1, lags = 2 * plan->max_lag + 1;
    plan->weight = AE_TAKE(arena, plan->size, float);
    plan->present = AE_TAKE(arena, plan->size, float);
    plan->time = AE_TAKE(arena, plan->size, float);
    spectrum *spectra[] = {&plan->weights, &plan->presence,     &plan->mouth,  &plan->mouth_square,
                           &plan->audio,   &plan->audio_square, &plan->product};
    for (size_t i = 0; i < sizeof spectra / sizeof *spectra; i++)
        *spectra[i] = take_spectrum(arena, bins);
    float **rows[] = {&plan->share,
                      &plan->lag_root,
                      &plan->sum_mouth,
                      &plan->sum_audio,
                      &plan->sum_mouth_square,
                      &plan->sum_audio_square,
                      &plan->sum_both,
                      &plan->scores};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) *rows[i] = AE_TAKE(arena, lags, float);
    return self;
}

ae_status ae_lip_lags_create(ae_lip_lags **out, int max_frames, int max_lag)
{
    *out = NULL;
    const int size = max_frames < 1 || max_lag < 1 ? 0 : ae_fft_good_size(max_frames + max_lag);
    if (size == 0) return AE_ERROR_ARGUMENT;
    ae_lip_lags plan = {.max_frames = max_frames, .max_lag = max_lag, .size = size};
    const ae_status status = ae_fft_create(&plan.fft, size);
    if (status != AE_OK) return status;
    ae_arena arena = {0};
    layout(&plan, &arena);
    arena = (ae_arena){ae_allocate(arena.used), 0};
    if (arena.base == NULL) {
        ae_fft_destroy(plan.fft);
        return AE_ERROR_MEMORY;
    }
    ae_lip_lags *self = layout(&plan, &arena);
    *self = plan;
    *out = self;
    return AE_OK;
}

void ae_lip_lags_destroy(ae_lip_lags *self)
{
    if (self == NULL) return;
    ae_fft_destroy(self->fft);
    ae_free(self);
}

static void transform(ae_lip_lags *self, const float *time, spectrum to)
{
    ae_fft_forward(self->fft, time, to.re, to.im);
}

/* sums[l] = sum over t of a(t) b(t + l). */
static void correlate(ae_lip_lags *self, spectrum a, spectrum b, float *sums)
{
    const int bins = self->size / 2 + 1, reach = self->max_lag;
    const float *restrict a_re = a.re, *restrict a_im = a.im, *restrict b_re = b.re,
                          *restrict b_im = b.im;
    float *restrict re = self->product.re, *restrict im = self->product.im;
#pragma omp simd
    for (int k = 0; k < bins; k++) {
        re[k] = a_re[k] * b_re[k] + a_im[k] * b_im[k];
        im[k] = a_re[k] * b_im[k] - a_im[k] * b_re[k];
    }
    ae_fft_inverse(self->fft, self->product.re, self->product.im, self->time);
    ae_copy(sums, self->time + self->size - reach, reach);
    ae_copy(sums + reach, self->time, reach + 1);
}

void ae_lip_lags_begin(ae_lip_lags *self, const float *weight, const float *present, int frames,
                       float full, float least, int least_frames)
{
    assert(frames >= 1 && frames <= self->max_frames);
    self->frames = frames;
    ae_copy(self->weight, weight, frames);
    ae_copy(self->present, present, frames);
    ae_zero(self->weight + frames, self->size - frames);
    ae_zero(self->present + frames, self->size - frames);
    transform(self, self->weight, self->weights);
    transform(self, self->present, self->presence);
    correlate(self, self->weights, self->presence, self->share);
    ae_zero(self->scores, 2 * self->max_lag + 1);
    for (int i = 0; i <= 2 * self->max_lag; i++) {
        const int lag = i < self->max_lag ? self->max_lag - i : i - self->max_lag;
        const int used = self->share[i] >= least && frames - lag >= least_frames;
        self->lag_root[i] = used ? sqrtf(self->share[i] / full) : 0.0f;
        self->share[i] = used ? 1.0f / self->share[i] : 0.0f;
    }
}

/* Spectra of x times `by`, and of that times x. */
static void transform_moments(ae_lip_lags *self, const float *restrict x, const float *restrict by,
                              spectrum first, spectrum second)
{
    float *restrict time = self->time;
    const int frames = self->frames;
    ae_zero(time + frames, self->size - frames);
#pragma omp simd
    for (int t = 0; t < frames; t++) time[t] = by[t] * x[t];
    transform(self, time, first);
#pragma omp simd
    for (int t = 0; t < frames; t++) time[t] *= x[t];
    transform(self, time, second);
}

void ae_lip_lags_add(ae_lip_lags *self, const float *mouth, const float *audio, float weight)
{
    transform_moments(self, mouth, self->weight, self->mouth, self->mouth_square);
    transform_moments(self, audio, self->present, self->audio, self->audio_square);
    correlate(self, self->mouth, self->presence, self->sum_mouth);
    correlate(self, self->mouth_square, self->presence, self->sum_mouth_square);
    correlate(self, self->weights, self->audio, self->sum_audio);
    correlate(self, self->weights, self->audio_square, self->sum_audio_square);
    correlate(self, self->mouth, self->audio, self->sum_both);
    const float *restrict inverse = self->share, *restrict root = self->lag_root;
    float *restrict scores = self->scores;
    for (int i = 0; i <= 2 * self->max_lag; i++) {
        if (root[i] == 0.0f) continue;
        const float mean_mouth = self->sum_mouth[i] * inverse[i];
        const float mean_audio = self->sum_audio[i] * inverse[i];
        const float cov = self->sum_both[i] * inverse[i] - mean_mouth * mean_audio;
        const float var_mouth = self->sum_mouth_square[i] * inverse[i] - mean_mouth * mean_mouth;
        const float var_audio = self->sum_audio_square[i] * inverse[i] - mean_audio * mean_audio;
        const float size =
            sqrtf(ae_max(var_mouth, k_least_variance) * ae_max(var_audio, k_least_variance));
        scores[i] += weight * root[i] * ae_clamp(cov / size, -1.0f, 1.0f);
    }
}

const float *ae_lip_lags_scores(const ae_lip_lags *self) { return self->scores; }
