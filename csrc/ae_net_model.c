#include "ae_net_model.h"

#include "ae_math.h"

static const char k_magic[8] = {'A', 'E', 'N', 'E', 'T', 'v', '1', '\0'};
static const float k_most_weight = 1e6f; /* far above any trained one: the file is damaged */
enum { k_header_bytes = 40, k_hash_bytes = 32 };

struct ae_net_model {
    ae_net_shape shape;
    ae_net_weights weights;
};

/* Walks over the tensors; while the arena measures, numbers are checked but not kept. */
typedef struct {
    const unsigned char *at, *end;
    ae_arena *arena;
    int is_sound;
} reader;

static const unsigned char *next_bytes(reader *from, size_t bytes)
{
    if (!from->is_sound || (size_t)(from->end - from->at) < bytes) {
        from->is_sound = 0;
        return NULL;
    }
    const unsigned char *at = from->at;
    from->at += bytes;
    return at;
}

/* `count` floats in a plane of `room`, 0 behind them. */
static const float *read_floats(reader *from, int count, int room)
{
    float *to = AE_TAKE(from->arena, room, float);
    const unsigned char *bytes = next_bytes(from, (size_t)count * sizeof(float));
    for (int i = 0; bytes != NULL && i < count; i++) {
        float value;
        memcpy(&value, bytes + (size_t)i * sizeof value, sizeof value);
        if (!ae_in_range(value, -k_most_weight, k_most_weight)) from->is_sound = 0;
        if (to != NULL) to[i] = value;
    }
    return to;
}

/* What a matrix is in the file. */
typedef struct {
    const unsigned char *scale, *numbers;
} packed;

static packed read_packed(reader *from, int outputs, int inputs)
{
    packed found = {next_bytes(from, (size_t)outputs * sizeof(float)), NULL};
    found.numbers = next_bytes(from, (size_t)(outputs * inputs + 3) / 4 * 4);
    for (int o = 0; from->is_sound && o < outputs; o++) {
        float scale;
        memcpy(&scale, found.scale + (size_t)o * sizeof scale, sizeof scale);
        if (!ae_in_range(scale, 0.0f, k_most_weight)) from->is_sound = 0;
    }
    return found;
}

static float scale_of(const packed *matrix, int output)
{
    float scale;
    memcpy(&scale, matrix->scale + (size_t)output * sizeof scale, sizeof scale);
    return scale;
}

static int8_t number_of(const packed *matrix, int output, int input, int inputs)
{
    int8_t number;
    memcpy(&number, matrix->numbers + (size_t)output * (size_t)inputs + (size_t)input, 1);
    return number;
}

static void read_dense_matrix(reader *from, ae_net_dense *layer, int outputs, int inputs)
{
    const int stride = ae_net_stride(outputs);
    float *to = AE_TAKE(from->arena, inputs * stride, float);
    const packed matrix = read_packed(from, outputs, inputs);
    layer->inputs = inputs;
    layer->outputs = outputs;
    layer->weights = to;
    if (to == NULL || !from->is_sound) return;
    for (int o = 0; o < outputs; o++)
        for (int i = 0; i < inputs; i++)
            to[i * stride + o] = scale_of(&matrix, o) * (float)number_of(&matrix, o, i, inputs);
}

static void read_dense(reader *from, ae_net_dense *layer, int outputs, int inputs)
{
    read_dense_matrix(from, layer, outputs, inputs);
    layer->bias = read_floats(from, outputs, ae_net_stride(outputs));
}

static void read_wide_matrix(reader *from, ae_net_wide *layer, int outputs, int inputs)
{
    uint32_t *to = AE_TAKE(from->arena, inputs * outputs / 2, uint32_t);
    float *scale = AE_TAKE(from->arena, outputs, float);
    const packed matrix = read_packed(from, outputs, inputs);
    *layer = (ae_net_wide){inputs, outputs, to, scale, layer->bias};
    if (to == NULL || !from->is_sound) return;
    for (int o = 0; o < outputs; o++) {
        for (int i = 0; i < inputs; i++)
            ae_net_wide_put(to, outputs, inputs, o, i, number_of(&matrix, o, i, inputs));
        scale[o] = scale_of(&matrix, o);
    }
}

static void read_wide(reader *from, ae_net_wide *layer, int outputs, int inputs)
{
    read_wide_matrix(from, layer, outputs, inputs);
    layer->bias = read_floats(from, outputs, outputs);
}

static void read_layer(reader *from, ae_net_layer *layer, int channels, int full)
{
    const int all = AE_NET_BANDS * channels;
    read_dense_matrix(from, &layer->sub_input, 3 * channels, channels);
    read_dense_matrix(from, &layer->sub_state, 3 * channels, channels);
    layer->sub_input.bias = read_floats(from, 3 * channels, 3 * channels);
    layer->sub_state.bias = read_floats(from, 3 * channels, 3 * channels);
    read_wide(from, &layer->gather, full, all);
    read_wide_matrix(from, &layer->full_input, 3 * full, full);
    read_wide_matrix(from, &layer->full_state, 3 * full, full);
    layer->full_input.bias = read_floats(from, 3 * full, 3 * full);
    layer->full_state.bias = read_floats(from, 3 * full, 3 * full);
    read_wide(from, &layer->scatter, all, full);
}

/* In the order of training/net.py's state. */
static ae_net_model *lay_out(reader *from, const ae_net_shape *shape)
{
    const int c = shape->channels;
    ae_net_model *self = AE_TAKE(from->arena, 1, ae_net_model);
    ae_net_weights weights = {0};
    weights.place = read_floats(from, AE_NET_BANDS * c, AE_NET_BANDS * c);
    weights.up2_bias = read_floats(from, c, c);
    weights.bias = read_floats(from, AE_NET_POINTS, AE_NET_POINTS);
    read_dense(from, &weights.down1, c, 4 * AE_NET_INPUTS);
    read_dense(from, &weights.down2, c, 4 * c);
    for (int n = 0; n < shape->layers; n++) read_layer(from, &weights.layers[n], c, shape->full);
    read_dense(from, &weights.up2, 4 * c, 2 * c);
    read_dense(from, &weights.up1, 4, 2 * c);
    read_dense(from, &weights.tap, 4 * AE_NET_TAPS, 2 * c);
    read_dense(from, &weights.voice, 1, shape->full);
    if (from->at != from->end) from->is_sound = 0;
    if (self != NULL) *self = (ae_net_model){*shape, weights};
    return self;
}

static int is_size(int value, int most) { return value >= 8 && value <= most && value % 8 == 0; }

static int shape_is_known(const ae_net_shape *shape)
{
    return shape->singles == AE_NET_SINGLES && shape->taps == AE_NET_TAPS &&
           shape->aside == AE_NET_ASIDE && is_size(shape->channels, AE_NET_MOST_CHANNELS) &&
           is_size(shape->full, AE_NET_MOST_FULL) && shape->layers >= 1 &&
           shape->layers <= AE_NET_MOST_LAYERS;
}

static int number_at(const unsigned char *bytes, int at)
{
    int32_t number;
    memcpy(&number, bytes + at, sizeof number);
    return number;
}

static int read_header(const unsigned char *bytes, size_t count, ae_net_shape *shape)
{
    if (bytes == NULL || count < k_header_bytes + k_hash_bytes ||
        memcmp(bytes, k_magic, sizeof k_magic) != 0 || number_at(bytes, 8) != AE_NET_FEATURES)
        return 0;
    *shape = (ae_net_shape){number_at(bytes, 12), number_at(bytes, 16), number_at(bytes, 20),
                            number_at(bytes, 24), number_at(bytes, 28), number_at(bytes, 32)};
    const int payload = number_at(bytes, 36);
    return shape_is_known(shape) && payload > 0 &&
           (size_t)payload == count - k_header_bytes - k_hash_bytes;
}

ae_status ae_net_model_create(ae_net_model **out, const void *file, size_t bytes)
{
    *out = NULL;
    ae_net_shape shape;
    if (!read_header(file, bytes, &shape)) return AE_ERROR_ARGUMENT;
    ae_arena arena = {0};
    const unsigned char *first = (const unsigned char *)file + k_header_bytes;
    const reader begin = {first, first + (bytes - k_header_bytes - k_hash_bytes), &arena, 1};
    reader from = begin;
    lay_out(&from, &shape);
    if (!from.is_sound) return AE_ERROR_ARGUMENT;
    arena.base = ae_allocate(arena.used);
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    arena.used = 0;
    from = begin;
    *out = lay_out(&from, &shape);
    return AE_OK;
}

void ae_net_model_destroy(ae_net_model *self) { ae_free(self); }

const ae_net_shape *ae_net_model_shape(const ae_net_model *self) { return &self->shape; }

const ae_net_weights *ae_net_model_weights(const ae_net_model *self) { return &self->weights; }

void ae_net_model_read(const ae_net_model *self, ae_net_shape *out) { *out = self->shape; }
