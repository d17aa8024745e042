/* ae_net_file.h - makes the bytes of a mask net's file, as training/export.py lays them out. */
#ifndef AE_NET_FILE_H
#define AE_NET_FILE_H

#include "ae_math.h"
#include "ae_net_model.h"

#include <string.h>

typedef struct {
    int channels, full, layers;
    float size;                   /* of the largest weights; 0: only the biases below speak */
    float gain_bias, speech_bias; /* added to the logits */
    uint32_t seed;
} net_recipe;

enum { k_most_file = 1 << 20 };

typedef struct {
    unsigned char bytes[k_most_file];
    size_t count;
    net_recipe recipe;
} net_file;

static inline void put(net_file *file, const void *from, size_t bytes)
{
    memcpy(file->bytes + file->count, from, bytes);
    file->count += bytes;
}

static inline void put_number(net_file *file, uint32_t number) { put(file, &number, 4); }

static inline void put_vector(net_file *file, int count, float add)
{
    for (int i = 0; i < count; i++) {
        const float value = add + file->recipe.size * ae_random(&file->recipe.seed);
        put(file, &value, 4);
    }
}

static inline void put_matrix(net_file *file, int outputs, int inputs)
{
    for (int o = 0; o < outputs; o++) {
        const float scale = file->recipe.size * (1.5f + ae_random(&file->recipe.seed)) /
                            (127.0f * sqrtf((float)inputs));
        put(file, &scale, 4);
    }
    for (int i = 0; i < outputs * inputs; i++) {
        const int8_t number = (int8_t)(127.0f * ae_random(&file->recipe.seed));
        put(file, &number, 1);
    }
    while (file->count % 4) put(file, "", 1);
}

static inline void put_dense(net_file *file, int outputs, int inputs, float bias)
{
    put_matrix(file, outputs, inputs);
    put_vector(file, outputs, bias);
}

static inline void put_recurrent(net_file *file, int state)
{
    for (int n = 0; n < 2; n++) put_matrix(file, 3 * state, state);
    for (int n = 0; n < 2; n++) put_vector(file, 3 * state, 0.0f);
}

static inline void write_net_file(net_file *file, net_recipe recipe)
{
    const int c = recipe.channels, full = recipe.full, all = AE_NET_BANDS * c;
    const int sizes[] = {AE_NET_SINGLES, c, full, recipe.layers, AE_NET_TAPS, AE_NET_ASIDE, 0};
    file->count = 0;
    file->recipe = recipe;
    put(file, "AENETv1", 8);
    put_number(file, AE_NET_FEATURES);
    for (int i = 0; i < 7; i++) put_number(file, (uint32_t)sizes[i]);
    const size_t begin = file->count;
    put_vector(file, all, 0.0f); /* place */
    put_vector(file, c, 0.0f);   /* up2_bias */
    put_vector(file, AE_NET_POINTS, recipe.gain_bias);
    put_dense(file, c, 4 * AE_NET_INPUTS, 0.0f);
    put_dense(file, c, 4 * c, 0.0f);
    for (int n = 0; n < recipe.layers; n++) {
        put_recurrent(file, c);
        put_dense(file, full, all, 0.0f);
        put_recurrent(file, full);
        put_dense(file, all, full, 0.0f);
    }
    put_dense(file, 4 * c, 2 * c, 0.0f);
    put_dense(file, 4, 2 * c, 0.0f);
    put_dense(file, 4 * AE_NET_TAPS, 2 * c, 0.0f);
    put_dense(file, 1, full, recipe.speech_bias);
    const uint32_t payload = (uint32_t)(file->count - begin);
    memcpy(file->bytes + begin - 4, &payload, 4);
    for (int i = 0; i < 32; i++) put(file, "", 1); /* the hash is the loader's business */
}

/* A model of that recipe, or NULL. */
static inline ae_net_model *make_model(net_recipe recipe)
{
    static net_file file;
    ae_net_model *model = NULL;
    write_net_file(&file, recipe);
    (void)ae_net_model_create(&model, file.bytes, file.count);
    return model;
}

#endif
