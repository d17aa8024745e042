/* front.c - what the classical suppressor leaves of a spectrum that was mixed for training.
 *
 * The net hears what the classical stages have already worked on, so training runs them too. The
 * suppressor is built in with its way out of the short-time spectrum tapped: `after` is what it
 * would have given to the synthesis, without comfort noise, `before` the power that it heard, hum
 * taken out. front.py compiles it with the files behind the headers named here. */
#include "ae_comfort_noise.h"
#include "ae_echo_filter.h"
#include "ae_echo_stage.h"
#include "ae_hum.h"
#include "ae_net_stage.h"
#include "ae_noise_stage.h"
#include "ae_stft.h"
#include "ae_suppressor.h"

#include <string.h>

static const float *own_after_re, *own_after_im;

static void tapped_synthesise(ae_stft *self, const float *re, const float *im, float *out)
{
    (void)self;
    (void)out;
    own_after_re = re;
    own_after_im = im;
}

enum { k_rate_hz = 16000, k_bins = 256, k_max_bins = 512 };

static float heard_power[k_max_bins];

static void tapped_update(ae_noise_stage *self, const ae_noise_hop *hop, float *gain)
{
    memcpy(heard_power, hop->power, k_bins * sizeof(float));
    ae_noise_stage_update(self, hop, gain);
}

static int no_noise_missing(ae_comfort_noise *self, const float *gain, float least_gain,
                            float *amplitude)
{
    (void)self, (void)gain, (void)least_gain, (void)amplitude;
    return 0;
}

#define ae_stft_synthesise tapped_synthesise
#define ae_noise_stage_update tapped_update
#define ae_comfort_noise_missing no_noise_missing
#include "ae_suppressor.c"
#undef ae_stft_synthesise
#undef ae_noise_stage_update
#undef ae_comfort_noise_missing

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
            before[(size_t)(t - 1) * k_bins + k] = undo * heard_power[k];
        join(own_after_re, own_after_im, 1.0f / scale, after + (size_t)(t - 1) * 2 * k_bins);
    }
    ae_suppressor_destroy(suppressor);
    ae_stft_destroy(stft);
    return (int)status;
}

typedef struct {
    int hop;
    ae_echo_filter *filter;
    ae_suppressor *suppressor;
    ae_stft *stft; /* of the target */
} scene_front;

static ae_status create_scene_front(scene_front *self, float attenuation_limit_db)
{
    const ae_echo_filter_config filter = ae_echo_filter_default_config(k_rate_hz);
    ae_suppressor_config config = ae_suppressor_default_config(k_rate_hz);
    config.attenuation_limit_db = attenuation_limit_db;
    config.echo = 1;
    self->hop = ae_block_frames(k_rate_hz);
    const ae_stft_config stft = {self->hop, (int)(k_window_hops * (float)self->hop + 0.5f)};
    ae_status status = ae_echo_filter_create(&self->filter, &filter);
    if (status == AE_OK) status = ae_suppressor_create(&self->suppressor, &config);
    if (status == AE_OK) status = ae_stft_create(&self->stft, &stft);
    if (status == AE_OK) self->suppressor->net_share = 1.0f;
    return status;
}

static void destroy_scene_front(scene_front *self)
{
    ae_echo_filter_destroy(self->filter);
    ae_suppressor_destroy(self->suppressor);
    ae_stft_destroy(self->stft);
}

/* capture, far_end, wanted: signals at 16 kHz, [hops * 160]. after, target: as `after` above;
 * before, echo, far: [hops][256 bins], power of the filter's output, of its echo estimate and of
 * the far end behind the bulk delay. All divided by the hop in frames. Returns an ae_status. */
int front_scene(const float *capture, const float *far_end, const float *wanted, int hops,
                float attenuation_limit_db, float *before, float *echo, float *far, float *after,
                float *target)
{
    scene_front self = {0};
    ae_status status = create_scene_front(&self, attenuation_limit_db);
    const ae_fp_mode mode = ae_fp_enter();
    float error[AE_MAX_RATE_HZ / 100 + 1], unused[AE_MAX_RATE_HZ / 100 + 1];
    float re[k_max_bins], im[k_max_bins], echo_power[k_max_bins], far_power[k_max_bins];
    for (int t = 0; t < hops && status == AE_OK; t++) {
        const size_t at = (size_t)t * (size_t)self.hop, row = (size_t)t * k_bins;
        const float *far_block = far_end + at;
        ae_echo_filter_process(self.filter, capture + at, &far_block, error);
        const ae_echo_view *view = ae_echo_filter_view(self.filter);
        ae_suppressor_process(self.suppressor, (const float *[]){error}, &view,
                              (float *[]){unused});
        const float scale = 1.0f / (float)self.hop;
        ae_echo_stage_powers(self.suppressor->echo, scale * scale, echo_power, far_power);
        ae_stft_analyse(self.stft, wanted + at, re, im);
        const float undo = scale * scale / self.suppressor->power_scale;
        for (int k = 0; k < k_bins; k++) {
            before[row + k] = undo * heard_power[k];
            echo[row + k] = echo_power[k];
            far[row + k] = far_power[k];
        }
        join(own_after_re, own_after_im, scale, after + 2 * row);
        join(re, im, scale, target + 2 * row);
    }
    ae_fp_leave(mode);
    destroy_scene_front(&self);
    return (int)status;
}

/* x: a signal, [hops * frames of a hop]. before, gain: [hops][bins]: the power that is heard, hum
 * taken out, and what the stages multiply by; after: [hops][bins][re, im], what they leave. Divided
 * by the hop in frames. Returns an ae_status. */
int front_signal(const float *x, int hops, int rate_hz, float attenuation_limit_db, float *before,
                 float *gain, float *after)
{
    ae_suppressor_config config = ae_suppressor_default_config(rate_hz);
    config.attenuation_limit_db = attenuation_limit_db;
    ae_suppressor *suppressor = NULL;
    const ae_status status = ae_suppressor_create(&suppressor, &config);
    const ae_fp_mode mode = ae_fp_enter();
    float unused[AE_MAX_RATE_HZ / 100 + 1];
    for (int t = 0; t < hops && status == AE_OK; t++) {
        const int hop = ae_block_frames(rate_hz), bins = suppressor->bins;
        const float *block = x + (size_t)t * (size_t)hop;
        ae_suppressor_process(suppressor, &block, NULL, (float *[]){unused});
        const float scale = 1.0f / (float)hop;
        for (int k = 0; k < bins; k++) {
            const size_t at = (size_t)t * (size_t)bins + (size_t)k;
            before[at] = scale * scale / suppressor->power_scale * suppressor->power[k];
            gain[at] = suppressor->gain[k];
            after[2 * at] = scale * own_after_re[k];
            after[2 * at + 1] = scale * own_after_im[k];
        }
    }
    ae_fp_leave(mode);
    ae_suppressor_destroy(suppressor);
    return (int)status;
}
