#include "ae_echo_state.h"

#include <string.h>

/* Ends in both kinds of line break: a copy made as text is noticed. */
static const uint8_t k_magic[8] = {'A', 'E', 'e', 'c', 'h', 'o', '\r', '\n'};
enum {
    k_version_at = 8,
    k_length_at = 12,
    k_checksum_at = 16,
    k_shape_at = 20,
    /* sample rate, tail_ms, max_delay_ms, channels, far channels, block, FFT size, partitions,
     * branch partitions, full partitions, low bins, floats of the path */
    k_shape_fields = 12,
    k_body_at = k_shape_at + 4 * k_shape_fields,
    k_place_bytes = 3 * 8,
};

/* ---- numbers as bytes ---- */

static uint8_t *write_u32(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++) to[i] = (uint8_t)(value >> (8 * i));
    return to + 4;
}

static uint32_t read_u32(const uint8_t *from)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) value |= (uint32_t)from[i] << (8 * i);
    return value;
}

static uint8_t *write_f64(uint8_t *to, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return write_u32(write_u32(to, (uint32_t)bits), (uint32_t)(bits >> 32));
}

static double read_f64(const uint8_t *from)
{
    const uint64_t bits = (uint64_t)read_u32(from) | (uint64_t)read_u32(from + 4) << 32;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint8_t *write_floats(uint8_t *to, const float *from, int count)
{
    for (int i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, from + i, sizeof bits);
        to = write_u32(to, bits);
    }
    return to;
}

static const uint8_t *read_floats(const uint8_t *from, float *to, int count)
{
    for (int i = 0; i < count; i++, from += 4) {
        const uint32_t bits = read_u32(from);
        memcpy(to + i, &bits, sizeof bits);
    }
    return from;
}

/* CRC-32, reflected, polynomial 0x04C11DB7. Bit by bit: it runs twice a session. */
static uint32_t checksum(const uint8_t *from, size_t bytes)
{
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= from[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0xEDB88320u & (0u - (crc & 1u)));
    }
    return ~crc;
}

/* ---- the shape ---- */

static void shape_fields(ae_echo_filter *const *filters, int channels, int fields[k_shape_fields])
{
    const ae_echo_filter_shape shape = ae_echo_filter_shape_of(filters[0]);
    const int values[k_shape_fields] = {
        shape.config.sample_rate_hz,
        shape.config.tail_ms,
        shape.config.max_delay_ms,
        channels,
        shape.far_channels,
        shape.block_frames,
        shape.fft_size,
        shape.partitions,
        shape.branch_partitions,
        shape.full_partitions,
        shape.low_bins,
        shape.floats,
    };
    memcpy(fields, values, sizeof values);
}

static void describe(const int fields[k_shape_fields], ae_echo_state_info *out)
{
    out->sample_rate_hz = fields[0];
    out->tail_ms = fields[1];
    out->max_delay_ms = fields[2];
    out->channels = fields[3];
    out->far_channels = fields[4];
}

void ae_echo_state_describe(ae_echo_filter *const *filters, int channels, ae_echo_state_info *out)
{
    int fields[k_shape_fields];
    shape_fields(filters, channels, fields);
    describe(fields, out);
    out->version = AE_ECHO_STATE_LAYOUT;
}

int ae_echo_state_has_learned(ae_echo_filter *const *filters, int channels)
{
    int any = 0;
    for (int c = 0; c < channels; c++) any |= ae_echo_filter_has_learned(filters[c]);
    return any;
}

/* ---- save ---- */

static size_t channel_bytes(const ae_echo_filter *filter)
{
    return k_place_bytes + 4 * (size_t)ae_echo_filter_shape_of(filter).floats;
}

size_t ae_echo_state_bytes(ae_echo_filter *const *filters, int channels)
{
    return k_body_at + (size_t)channels * channel_bytes(filters[0]);
}

ae_status ae_echo_state_save(ae_echo_filter *const *filters, int channels, uint8_t *to)
{
    int fields[k_shape_fields];
    shape_fields(filters, channels, fields);
    const int floats = ae_echo_filter_shape_of(filters[0]).floats;
    float *path = ae_allocate(sizeof(float) * (size_t)floats);
    if (path == NULL) return AE_ERROR_MEMORY;
    const size_t bytes = ae_echo_state_bytes(filters, channels);
    memcpy(to, k_magic, sizeof k_magic);
    write_u32(to + k_version_at, AE_ECHO_STATE_LAYOUT);
    write_u32(to + k_length_at, (uint32_t)bytes);
    for (int i = 0; i < k_shape_fields; i++)
        write_u32(to + k_shape_at + 4 * i, (uint32_t)fields[i]);
    uint8_t *body = to + k_body_at;
    for (int c = 0; c < channels; c++) {
        ae_echo_filter_place place;
        ae_echo_filter_write_state(filters[c], &place, path);
        body = write_f64(body, place.delay_frames);
        body = write_f64(body, place.lag_frames);
        body = write_f64(body, place.skew);
        body = write_floats(body, path, floats);
    }
    write_u32(to + k_checksum_at, checksum(to + k_shape_at, bytes - k_shape_at));
    ae_free(path);
    return AE_OK;
}

/* ---- load ---- */

/* All that can be said without looking at the values. */
static ae_echo_state_verdict check_frame(ae_echo_filter *const *filters, int channels,
                                         const uint8_t *from, size_t bytes,
                                         ae_echo_state_info *found)
{
    *found = (ae_echo_state_info){0};
    const size_t head = bytes < sizeof k_magic ? bytes : sizeof k_magic;
    if (head == 0 || memcmp(from, k_magic, head) != 0) return AE_ECHO_STATE_FOREIGN;
    if (bytes < k_shape_at) return AE_ECHO_STATE_DAMAGED;
    found->version = (int)(read_u32(from + k_version_at) & 0x7FFFFFFFu);
    if (read_u32(from + k_version_at) != AE_ECHO_STATE_LAYOUT) return AE_ECHO_STATE_VERSION;
    if (bytes < k_body_at || read_u32(from + k_length_at) != bytes ||
        read_u32(from + k_checksum_at) != checksum(from + k_shape_at, bytes - k_shape_at))
        return AE_ECHO_STATE_DAMAGED;
    int own[k_shape_fields], theirs[k_shape_fields];
    for (int i = 0; i < k_shape_fields; i++) theirs[i] = (int)read_u32(from + k_shape_at + 4 * i);
    shape_fields(filters, channels, own);
    describe(theirs, found);
    if (memcmp(own, theirs, sizeof own) != 0) return AE_ECHO_STATE_SHAPE;
    return bytes == ae_echo_state_bytes(filters, channels) ? AE_ECHO_STATE_FITS
                                                           : AE_ECHO_STATE_DAMAGED;
}

typedef struct {
    ae_echo_filter_place places[AE_MAX_CHANNELS];
    float *paths; /* channels x floats */
} decoded;

static int decode(ae_echo_filter *const *filters, int channels, const uint8_t *body, decoded *to)
{
    const int floats = ae_echo_filter_shape_of(filters[0]).floats;
    int is_sound = 1;
    for (int c = 0; c < channels; c++) {
        float *path = to->paths + (size_t)c * (size_t)floats;
        to->places[c] =
            (ae_echo_filter_place){read_f64(body), read_f64(body + 8), read_f64(body + 16)};
        body = read_floats(body + k_place_bytes, path, floats);
        is_sound &= ae_echo_filter_state_is_sound(filters[c], &to->places[c], path);
    }
    return is_sound;
}

int ae_echo_state_load(ae_echo_filter *const *filters, int channels, const uint8_t *from,
                       size_t bytes, ae_echo_state_info *found)
{
    const ae_echo_state_verdict verdict = check_frame(filters, channels, from, bytes, found);
    if (verdict != AE_ECHO_STATE_FITS) return verdict;
    const int floats = ae_echo_filter_shape_of(filters[0]).floats;
    decoded state = {.paths = ae_allocate(sizeof(float) * (size_t)channels * (size_t)floats)};
    if (state.paths == NULL) return AE_ECHO_STATE_NO_MEMORY;
    const int is_sound = decode(filters, channels, from + k_body_at, &state);
    for (int c = 0; is_sound && c < channels; c++)
        ae_echo_filter_read_state(filters[c], &state.places[c],
                                  state.paths + (size_t)c * (size_t)floats);
    ae_free(state.paths);
    return is_sound ? AE_ECHO_STATE_FITS : AE_ECHO_STATE_UNSOUND;
}
