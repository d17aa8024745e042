#include "ae_stft.h"

#include "ae_fft.h"
#include "ae_math.h"

enum { k_min_hop = 4, k_max_hop = 16384, k_max_window = 65536 };

struct ae_stft {
    int hop;
    int window;
    int fft_size;
    float window_power, random_power;
    ae_fft *fft;
    float *analysis;  /* [window] */
    float *synthesis; /* [2 hop] */
    float *history;   /* [window] the last frames, oldest first */
    float *overlap;   /* [hop] second half of the last synthesis frame */
    float *frame;     /* [fft_size] scratch */
};

static double hann_rise(int i, int length) /* 0 at i = 0, 1 at i = length */
{
    return 0.5 - 0.5 * cos(3.14159265358979323846 * i / length);
}

static void make_windows(ae_stft *self)
{
    const int hop = self->hop, window = self->window, rise = window - hop,
              skipped = window - 2 * hop;
    double power = 0.0;
    for (int i = 0; i < window; i++) {
        const double squared = i < rise ? hann_rise(i, rise) : 1.0 - hann_rise(i - rise, hop);
        self->analysis[i] = (float)sqrt(squared);
        power += squared;
    }
    self->window_power = (float)power;
    double passed = 0.0;
    for (int i = 0; i < 2 * hop; i++) {
        const double product = i < hop ? hann_rise(i, hop) : 1.0 - hann_rise(i - hop, hop);
        const double analysis = (double)self->analysis[skipped + i];
        self->synthesis[i] = product > 0.0 ? (float)(product / analysis) : 0.0f;
        passed += pow((double)self->synthesis[i], 2.0);
    }
    self->random_power = (float)(power / self->fft_size * passed / hop);
}

static ae_stft *lay_out(ae_arena *arena, const ae_stft_config *config, int fft_size)
{
    ae_stft *self = AE_TAKE(arena, 1, ae_stft);
    float *analysis = AE_TAKE(arena, config->window_frames, float);
    float *synthesis = AE_TAKE(arena, 2 * config->hop_frames, float);
    float *history = AE_TAKE(arena, config->window_frames, float);
    float *overlap = AE_TAKE(arena, config->hop_frames, float);
    float *frame = AE_TAKE(arena, fft_size, float);
    if (self == NULL) return NULL;
    *self = (ae_stft){.hop = config->hop_frames,
                      .window = config->window_frames,
                      .fft_size = fft_size,
                      .analysis = analysis,
                      .synthesis = synthesis,
                      .history = history,
                      .overlap = overlap,
                      .frame = frame};
    make_windows(self);
    return self;
}

ae_status ae_stft_create(ae_stft **out, const ae_stft_config *config)
{
    *out = NULL;
    if (config->hop_frames < k_min_hop || config->hop_frames > k_max_hop) return AE_ERROR_ARGUMENT;
    if (config->window_frames < 2 * config->hop_frames || config->window_frames > k_max_window)
        return AE_ERROR_ARGUMENT;
    const int fft_size = ae_fft_good_size(config->window_frames);
    ae_fft *fft = NULL;
    const ae_status status = ae_fft_create(&fft, fft_size);
    if (status != AE_OK) return status;
    ae_arena arena = {0};
    lay_out(&arena, config, fft_size);
    arena.base = ae_allocate(arena.used);
    if (arena.base == NULL) {
        ae_fft_destroy(fft);
        return AE_ERROR_MEMORY;
    }
    arena.used = 0;
    *out = lay_out(&arena, config, fft_size);
    (*out)->fft = fft;
    return AE_OK;
}

void ae_stft_destroy(ae_stft *self)
{
    if (self == NULL) return;
    ae_fft_destroy(self->fft);
    ae_free(self);
}

void ae_stft_reset(ae_stft *self)
{
    ae_zero(self->history, self->window);
    ae_zero(self->overlap, self->hop);
}

int ae_stft_latency_frames(const ae_stft *self) { return self->hop; }
int ae_stft_fft_size(const ae_stft *self) { return self->fft_size; }
int ae_stft_bins(const ae_stft *self) { return self->fft_size / 2 + 1; }
const float *ae_stft_window(const ae_stft *self) { return self->analysis; }
int ae_stft_window_frames(const ae_stft *self) { return self->window; }
float ae_stft_window_power(const ae_stft *self) { return self->window_power; }
float ae_stft_random_power(const ae_stft *self) { return self->random_power; }

void ae_stft_analyse(ae_stft *self, const float *in, float *re, float *im)
{
    const int hop = self->hop, window = self->window, kept = window - hop;
    float *restrict history = self->history, *restrict frame = self->frame;
    const float *restrict analysis = self->analysis;
    memmove(history, history + hop, (size_t)kept * sizeof(float));
    ae_copy(history + kept, in, hop);
#pragma omp simd
    for (int i = 0; i < window; i++) frame[i] = history[i] * analysis[i];
    ae_zero(frame + window, self->fft_size - window);
    ae_fft_forward(self->fft, frame, re, im);
}

void ae_stft_synthesise(ae_stft *self, const float *re, const float *im, float *out)
{
    const int hop = self->hop;
    ae_fft_inverse(self->fft, re, im, self->frame);
    const float *restrict frame = self->frame + self->window - 2 * hop;
    const float *restrict synthesis = self->synthesis;
    float *restrict overlap = self->overlap;
#pragma omp simd
    for (int i = 0; i < hop; i++) out[i] = overlap[i] + frame[i] * synthesis[i];
#pragma omp simd
    for (int i = 0; i < hop; i++) overlap[i] = frame[hop + i] * synthesis[hop + i];
}
