#include "ae_lip_lags.h"

#include "ae_fft.h"
#include "ae_math.h"

#include <assert.h>

/* Of a sum of squares: signals have a variance near 1, so less than this is rounding. */
static const float k_least_energy = 1e-3f;

typedef struct {
    float *re, *im;
} spectrum;

/* What one half of the window's weight gives. */
typedef struct {
    float *weight;                       /* the frames of this half, 0 elsewhere */
    spectrum product;                    /* sum over the components */
    float *both, *mouth, *audio, *share; /* sums per lag */
    float *scores;
} half;

struct ae_lip_lags {
    int max_frames, max_lag, size; /* of the transform: no lag wraps around */
    int frames;
    ae_fft *fft, *fine; /* of `size`, and of twice that: 10 ms steps */
    half halves[2];
    float *present, *mouth_energy, *audio_energy; /* by frame, over the components */
    float *ones;                                  /* by frame */
    float *time;                                  /* 2 size: what is transformed */
    spectrum one, two, wide;
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
    const int size = plan->size, bins = size / 2 + 1, lags = 2 * plan->max_lag + 1;
    for (int h = 0; h < 2; h++) {
        half *part = &plan->halves[h];
        part->weight = AE_TAKE(arena, size, float);
        part->product = take_spectrum(arena, bins);
        float **rows[] = {&part->both, &part->mouth, &part->audio, &part->share, &part->scores};
        for (int i = 0; i < 5; i++) *rows[i] = AE_TAKE(arena, lags, float);
    }
    plan->present = AE_TAKE(arena, size, float);
    plan->mouth_energy = AE_TAKE(arena, size, float);
    plan->audio_energy = AE_TAKE(arena, size, float);
    plan->ones = AE_TAKE(arena, size, float);
    plan->time = AE_TAKE(arena, 2 * size, float);
    plan->one = take_spectrum(arena, bins);
    plan->two = take_spectrum(arena, bins);
    plan->wide = take_spectrum(arena, size + 1);
    plan->scores = AE_TAKE(arena, lags, float);
    return self;
}

static void destroy_transforms(ae_lip_lags *self)
{
    ae_fft_destroy(self->fft);
    ae_fft_destroy(self->fine);
}

ae_status ae_lip_lags_create(ae_lip_lags **out, int max_frames, int max_lag)
{
    *out = NULL;
    if (max_frames < 1 || max_lag < 1) return AE_ERROR_ARGUMENT;
    const int size = ae_fft_good_size(max_frames + max_lag / 2 + 1);
    if (size == 0) return AE_ERROR_ARGUMENT;
    ae_lip_lags plan = {.max_frames = max_frames, .max_lag = max_lag, .size = size};
    ae_status status = ae_fft_create(&plan.fft, size);
    if (status == AE_OK) status = ae_fft_create(&plan.fine, 2 * size);
    ae_lip_lags *self = NULL;
    if (status == AE_OK) {
        ae_arena arena = {0};
        layout(&plan, &arena);
        arena = (ae_arena){ae_allocate(arena.used), 0};
        if (arena.base != NULL) self = layout(&plan, &arena);
        status = self == NULL ? AE_ERROR_MEMORY : AE_OK;
    }
    if (status != AE_OK) {
        destroy_transforms(&plan);
        return status;
    }
    *self = plan;
    ae_fill(self->ones, 1.0f, size);
    *out = self;
    return AE_OK;
}

void ae_lip_lags_destroy(ae_lip_lags *self)
{
    if (self == NULL) return;
    destroy_transforms(self);
    ae_free(self);
}

void ae_lip_lags_begin(ae_lip_lags *self, const float *weight, const float *present, int frames)
{
    assert(frames >= 1 && frames <= self->max_frames);
    self->frames = frames;
    double whole = 0.0, sum = 0.0;
    for (int t = 0; t < frames; t++) whole += (double)weight[t];
    for (int h = 0; h < 2; h++) {
        ae_zero(self->halves[h].weight, self->size);
        ae_zero(self->halves[h].product.re, self->size / 2 + 1);
        ae_zero(self->halves[h].product.im, self->size / 2 + 1);
    }
    for (int t = 0; t < frames; t++) {
        sum += (double)weight[t];
        self->halves[sum < 0.5 * whole ? 0 : 1].weight[t] = weight[t];
    }
    ae_copy(self->present, present, frames);
    ae_zero(self->present + frames, self->size - frames);
    ae_zero(self->mouth_energy, self->size);
    ae_zero(self->audio_energy, self->size);
}

/* The spectrum of x times `by`. */
static void transform(ae_lip_lags *self, const float *restrict x, const float *restrict by,
                      spectrum to)
{
    float *restrict time = self->time;
    const int frames = self->frames;
    ae_zero(time + frames, self->size - frames);
#pragma omp simd
    for (int t = 0; t < frames; t++) time[t] = by[t] * x[t];
    ae_fft_forward(self->fft, time, to.re, to.im);
}

static void add_squares(const float *restrict x, int frames, float *restrict energy)
{
#pragma omp simd
    for (int t = 0; t < frames; t++) energy[t] += x[t] * x[t];
}

/* to += conjugate of a times b */
static void add_product(spectrum a, spectrum b, int bins, spectrum to)
{
    const float *restrict a_re = a.re, *restrict a_im = a.im;
    const float *restrict b_re = b.re, *restrict b_im = b.im;
    float *restrict re = to.re, *restrict im = to.im;
#pragma omp simd
    for (int k = 0; k < bins; k++) {
        re[k] += a_re[k] * b_re[k] + a_im[k] * b_im[k];
        im[k] += a_re[k] * b_im[k] - a_im[k] * b_re[k];
    }
}

void ae_lip_lags_add(ae_lip_lags *self, const float *mouth, const float *audio)
{
    const int bins = self->size / 2 + 1;
    add_squares(mouth, self->frames, self->mouth_energy);
    add_squares(audio, self->frames, self->audio_energy);
    transform(self, audio, self->present, self->two);
    for (int h = 0; h < 2; h++) {
        transform(self, mouth, self->halves[h].weight, self->one);
        add_product(self->one, self->two, bins, self->halves[h].product);
    }
}

/* The correlation that a product of spectra stands for, every 10 ms; `product` is used up. */
static void correlate(ae_lip_lags *self, spectrum product, float *sums)
{
    const int bins = self->size / 2 + 1, reach = self->max_lag;
    for (int k = 0; k < bins; k++) { /* twice as many points: twice the scale */
        self->wide.re[k] = 2.0f * product.re[k];
        self->wide.im[k] = 2.0f * product.im[k];
    }
    self->wide.re[bins - 1] *= 0.5f; /* it has a mirror image now */
    self->wide.im[bins - 1] = 0.0f;
    ae_zero(self->wide.re + bins, self->size + 1 - bins);
    ae_zero(self->wide.im + bins, self->size + 1 - bins);
    ae_fft_inverse(self->fine, self->wide.re, self->wide.im, self->time);
    ae_copy(sums, self->time + 2 * self->size - reach, reach);
    ae_copy(sums + reach, self->time, reach + 1);
}

/* sums = the correlation of x, times the half's weight, with what `other` is the spectrum of. */
static void correlate_weight(ae_lip_lags *self, const half *part, const float *x, spectrum other,
                             float *sums)
{
    const int bins = self->size / 2 + 1;
    const spectrum product = {self->wide.re, self->wide.im};
    transform(self, x, part->weight, self->two);
    ae_zero(product.re, bins);
    ae_zero(product.im, bins);
    add_product(self->two, other, bins, product);
    correlate(self, product, sums);
}

static float score(float both, float mouth, float audio, float share, float full)
{
    const float energy = ae_max(mouth, k_least_energy) * ae_max(audio, k_least_energy);
    return ae_clamp(both / sqrtf(energy), -1.0f, 1.0f) * sqrtf(ae_clamp(share / full, 0.0f, 1.0f));
}

void ae_lip_lags_end(ae_lip_lags *self, float full, float least, int least_frames)
{
    half *a = &self->halves[0], *b = &self->halves[1];
    for (int h = 0; h < 2; h++) correlate(self, self->halves[h].product, self->halves[h].both);
    transform(self, self->present, self->present, self->one);
    for (int h = 0; h < 2; h++) {
        correlate_weight(self, &self->halves[h], self->mouth_energy, self->one,
                         self->halves[h].mouth);
        correlate_weight(self, &self->halves[h], self->ones, self->one, self->halves[h].share);
    }
    transform(self, self->audio_energy, self->present, self->one);
    for (int h = 0; h < 2; h++)
        correlate_weight(self, &self->halves[h], self->ones, self->one, self->halves[h].audio);
    for (int i = 0; i <= 2 * self->max_lag; i++) {
        const int apart = i < self->max_lag ? self->max_lag - i : i - self->max_lag; /* 10 ms */
        const int used = 2 * self->frames - apart >= 2 * least_frames;
        for (int h = 0; h < 2; h++) {
            half *part = &self->halves[h];
            part->scores[i] = 0.0f;
            if (used && part->share[i] >= 0.5f * least)
                part->scores[i] = score(part->both[i], part->mouth[i], part->audio[i],
                                        part->share[i], 0.5f * full);
        }
        self->scores[i] = 0.0f;
        if (used && a->share[i] + b->share[i] >= least)
            self->scores[i] = score(a->both[i] + b->both[i], a->mouth[i] + b->mouth[i],
                                    a->audio[i] + b->audio[i], a->share[i] + b->share[i], full);
    }
}

const float *ae_lip_lags_scores(const ae_lip_lags *self) { return self->scores; }

const float *ae_lip_lags_half(const ae_lip_lags *self, int half_index)
{
    return self->halves[half_index].scores;
}
