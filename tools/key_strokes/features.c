/* features.c - what the suppressor tells key strokes by, for training: the project's own suppressor
 * runs over a scene. Output: k_features floats per hop of 10 ms.
 *
 * ae_transients.c is part of this file, so that its features can be read; what it has learned of a
 * room's strokes is among them, and that follows from the weights it is built with. */
#include "ae_suppressor.h"

#define ae_transients_update own_update
#include "ae_transients.c"
#undef ae_transients_update

static const float *own_heard;

void ae_transients_update(ae_transients *self, const float *const *samples, int channels,
                          const float *power, const float *noise, float pitch_strength,
                          float speech_probability, float *gain);

void ae_transients_update(ae_transients *self, const float *const *samples, int channels,
                          const float *power, const float *noise, float pitch_strength,
                          float speech_probability, float *gain)
{
    own_update(self, samples, channels, power, noise, pitch_strength, speech_probability, gain);
    own_heard = self->feature;
}

int stroke_feature_count(void) { return k_features; }

int stroke_features(const float *capture, int hops, int sample_rate_hz, float *features)
{
    const ae_suppressor_config config = ae_suppressor_default_config(sample_rate_hz);
    ae_suppressor *self = NULL;
    const ae_status status = ae_suppressor_create(&self, &config);
    if (status != AE_OK) return (int)status;
    const int block = ae_block_frames(sample_rate_hz);
    float unused[AE_MAX_RATE_HZ / 100 + 1];
    ae_zero(features, hops * k_features);
    own_heard = NULL;
    for (int t = 0; t < hops; t++) {
        ae_suppressor_process(self, (const float *[]){capture + t * block}, NULL,
                              (float *[]){unused});
        if (own_heard != NULL) ae_copy(features + t * k_features, own_heard, k_features);
        own_heard = NULL; /* while music plays, nothing looks for strokes: zeros */
    }
    ae_suppressor_destroy(self);
    return 0;
}
