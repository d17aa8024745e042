/* front.c - what the classical suppressor leaves of a spectrum that was mixed for training.
 *
 * The net hears what the classical stages have already worked on, so training runs them too. The
 * suppressor is built in with its way out of the short-time spectrum tapped: `after` is what it would
 * have given to the synthesis, `before` the power that it was heard with, hum taken out. front.py compiles it with the files
 * behind the headers named here. */
#include "ae_comfort_noise.h"
#include "ae_echo_stage.h"
#include "ae_hum.h"
#include "ae_noise_stage.h"
#include "ae_stft.h"
#include "ae_suppressor.h"

static const float *own_after_re, *own_after_im;

static void tapped_synthesise(ae_stft *self, const float *re, const float *im, float *out)
{
    (void)self;
    (void)out;
    own_after_re = re;
    own_after_im = im;
}

#define ae_stft_synthesise tapped_synthesise
#include "ae_suppressor.c"
#undef ae_stft_synthesise

enum { k_rate_hz = 16000, k_bins = 256, k_max_bins = 512 };

static void split(const float *pairs, float scale, float *re, float *im)
{
    for (int k = 0; k < k_bins; k++) {
        re[k] = scale * pairs[2 * k];
        im[k] = scale * pairs[2 * k + 1];
    }
    re[k_bins] = im[k_bins] = 0.0f;
}

static void join(const float *re, const float *im, float scale, float *pairs)
{
    for (int k = 0; k < k_bins; k++) {
        pairs[2 * k] = scale * re[k];
        pairs[2 * k + 1] = scale * im[k];
    }
}

/* mixed, after: [hops][256 bins][re, im], divided by the hop in frames; `level` times that
 * is what comes from the microphone. before: [hops][256 bins], power. Returns an ae_status. */
int front(const float *mixed, int hops, float level, float attenuation_limit_db, float *before,
          float *after)
{
    ae_suppressor_config config = ae_suppressor_default_config(k_rate_hz);
    config.attenuation_limit_db = attenuation_limit_db;
    const int hop = ae_block_frames(k_rate_hz);
    const ae_stft_config shape = {hop, (int)(k_window_hops * (float)hop + 0.5f)};
    ae_suppressor *suppressor = NULL;
    ae_stft *stft = NULL;
    ae_status status = ae_stft_create(&stft, &shape);
    if (status == AE_OK) status = ae_suppressor_create(&suppressor, &config);
    const float scale = level * (float)hop;
    float re[k_max_bins] = {0}, im[k_max_bins] = {0};
    float block[AE_MAX_RATE_HZ / 100 + 1], unused[AE_MAX_RATE_HZ / 100 + 1];
    for (int t = 0; t <= hops && status == AE_OK; t++) {
        if (t < hops) split(mixed + (size_t)t * 2 * k_bins, scale, re, im);
        ae_stft_synthesise(stft, re, im, block); /* the hop before */
        ae_suppressor_process(suppressor, (const float *[]){block}, NULL, (float *[]){unused});
        if (t == 0) continue;
        const float undo = 1.0f / (suppressor->power_scale * scale * scale);
        for (int k = 0; k < k_bins; k++)
            before[(size_t)(t - 1) * k_bins + k] = undo * suppressor->power[k];
        join(own_after_re, own_after_im, 1.0f / scale, after + (size_t)(t - 1) * 2 * k_bins);
    }
    ae_suppressor_destroy(suppressor);
    ae_stft_destroy(stft);
    return (int)status;
}
