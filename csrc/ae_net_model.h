/* ae_net_model.h - the weights of one mask net, read from a file's bytes; read-only from then on.
 *
 * The file, little-endian: "AENETv1\0"; uint32 version of the features (AE_NET_FEATURES); uint32
 * singles, channels, full, layers, taps, aside; uint32 bytes of what follows; the tensors in the
 * order of training/net.py's state, matrices as one float scale per output, then 8-bit numbers,
 * outputs first (padded to 4 bytes), all else as floats; SHA-256 of all before, which the loader in
 * Python checks. training/export.py writes it.
 * One model may be shared by any number of nets on any threads; it must outlive them. */
#ifndef AE_NET_MODEL_H
#define AE_NET_MODEL_H

#include "ae_common.h"
#include "ae_net.h"

/* ffi:begin */
typedef struct ae_net_model ae_net_model;

typedef struct {
    int singles;  /* bins that are points of their own, with taps */
    int channels; /* per sub-band: 8 .. 64, a multiple of 8 */
    int full;     /* state across the sub-bands: 8 .. 256, a multiple of 8 */
    int layers;   /* 1 .. 4 */
    int taps;     /* of each single bin's filter */
    int aside;    /* further features per point */
} ae_net_shape;

/* AE_ERROR_ARGUMENT: no such file, of another version or shape, cut off, or not finite. */
ae_status ae_net_model_create(ae_net_model **out, const void *file, size_t bytes);
void ae_net_model_destroy(ae_net_model *self);
/* Copies the shape to out. */
void ae_net_model_read(const ae_net_model *self, ae_net_shape *out);
/* ffi:end */

enum {
    AE_NET_FEATURES = 1,
    AE_NET_SINGLES = 64,
    AE_NET_TAPS = 3,
    AE_NET_ASIDE = 3,
    AE_NET_POINTS = 100, /* 64 single bins, 16 of 4, 16 of 8, 4 above 8 kHz */
    AE_NET_BANDS = AE_NET_POINTS / 4,
    AE_NET_INPUTS = 4 + AE_NET_ASIDE, /* per point */
    AE_NET_MOST_CHANNELS = 64,
    AE_NET_MOST_FULL = 256,
    AE_NET_MOST_LAYERS = 4
};

typedef struct {
    ae_net_dense sub_input, sub_state; /* recurrent, shared by the sub-bands */
    ae_net_wide gather, full_input, full_state, scatter;
} ae_net_layer;

typedef struct {
    ae_net_dense down1, down2, up2, up1, tap, voice;
    const float *place;    /* [bands][channels] */
    const float *up2_bias; /* [channels] */
    const float *bias;     /* [points] */
    ae_net_layer layers[AE_NET_MOST_LAYERS];
} ae_net_weights;

const ae_net_shape *ae_net_model_shape(const ae_net_model *self);
const ae_net_weights *ae_net_model_weights(const ae_net_model *self);

#endif
