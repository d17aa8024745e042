/* features.c - what the suppressor judges speech by, for training: the project's own suppressor
 * runs over a scene. Output: k_ae_speech_features floats per hop of 10 ms.
 *
 * ae_speech_presence itself is not built in: its weights may still be of other features. What
 * stands here in its place hands the features out and gives no probability. */
#include "ae_speech_presence.h"

#include "ae_math.h"
#include "ae_suppressor.h"

static ae_speech_features *own_features;
static const float *own_heard;

ae_status ae_speech_presence_create(ae_speech_presence **out,
                                    const ae_speech_features_config *config)
{
    *out = NULL;
    return ae_speech_features_create(&own_features, config);
}

void ae_speech_presence_destroy(ae_speech_presence *self)
{
    (void)self;
    ae_speech_features_destroy(own_features);
}

void ae_speech_presence_reset(ae_speech_presence *self)
{
    (void)self;
    ae_speech_features_reset(own_features);
}

float ae_speech_presence_update(ae_speech_presence *self, const ae_speech_hop *hop)
{
    (void)self;
    own_heard = ae_speech_features_update(own_features, hop);
    return 0.0f;
}

int speech_feature_count(void) { return k_ae_speech_features; }

int speech_features(const float *capture, int hops, int sample_rate_hz, float dereverb,
                    float *features)
{
    ae_suppressor_config config = ae_suppressor_default_config(sample_rate_hz);
    config.dereverb = dereverb;
    ae_suppressor *self = NULL;
    const ae_status status = ae_suppressor_create(&self, &config);
    if (status != AE_OK) return (int)status;
    const int block = ae_block_frames(sample_rate_hz);
    float unused[AE_MAX_RATE_HZ / 100 + 1];
    for (int t = 0; t < hops; t++) {
        ae_suppressor_process(self, (const float *[]){capture + t * block}, NULL,
                              (float *[]){unused});
        ae_copy(features + t * k_ae_speech_features, own_heard, k_ae_speech_features);
    }
    ae_suppressor_destroy(self);
    return 0;
}
