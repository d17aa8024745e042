/* soft_card.c - a sound card made of software, as an ALSA plug-in, so that live tests need none.
 *
 * A loudspeaker and two capture devices, a microphone and a loopback, share one file (soft_card.py
 * makes it). Each device has a crystal of its own: its sample clock is CLOCK_MONOTONIC times
 * 1 + ppm/1e6. What the loudspeaker plays is kept in the file; a capture device hears it after a
 * delay and with a gain, plus a near end that the file holds. This is computed when frames are
 * read, so there is no process that could be late: what is lost is lost by the program under test.
 *
 * As with a card of metal an application that comes too late gets -EPIPE, and all calls fail with
 * -ENODEV while the device's `unplugged` is set. Access is mmap only: without it PortAudio does not
 * start a capture again after an overrun.
 *
 * Waiting: the poll descriptor is a one-shot timer that is readable whenever there may be something
 * to do; poll_revents looks, and sets the timer to the period that the application waits for.
 * Configuration: pcm.NAME { type soft_card file PATH device 0|1|2 }. */
#define _GNU_SOURCE
#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>
#include <fcntl.h>
#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { LOUDSPEAKER, MICROPHONE, LOOPBACK, DEVICES, HEADER_BYTES = 4096 };
static const int64_t k_magic = 0x31647261636f7331; /* "1socard1" */
static const double k_ns_per_s = 1e9;

/* The head of the file, with soft_card.py's HEADER; then ring_frames and near_frames floats. */
typedef struct {
    double ppm;
    double echo_gain;    /* capture: of what the loudspeaker plays */
    double echo_delay_s; /* capture: >= 1 ms, so that what is heard has been played */
    int64_t near_frames; /* capture: 0 is silence */
    _Atomic int64_t unplugged;
    _Atomic int64_t opens, starts, xruns;
    _Atomic int64_t late_frames; /* loudspeaker: given after their time, so not heard */
    _Atomic int64_t frames;      /* given to or taken from the application */
} soft_device;

typedef struct {
    int64_t magic;
    int64_t rate_hz;
    int64_t epoch_ns;           /* CLOCK_MONOTONIC at frame 0 of every device */
    int64_t ring_frames;        /* of what was played; a power of two */
    _Atomic int64_t played_end; /* loudspeaker frames before this one are in the ring */
    soft_device device[DEVICES];
} soft_file;

typedef struct {
    snd_pcm_ioplug_t io;
    soft_file *file;
    size_t file_bytes;
    float *ring;
    const float *near_end;
    soft_device *device;
    const snd_pcm_channel_area_t *areas; /* ALSA's buffer, known from the first transfer on */
    snd_pcm_uframes_t avail_min;
    double rate_hz; /* of this crystal */
    int64_t base;   /* frame of the device at the application's frame 0 */
    int timer;
    int running;
} soft_card;

/* --- clocks --- */

static double device_rate_hz(const soft_file *file, const soft_device *device)
{
    return (double)file->rate_hz * (1.0 + device->ppm * 1e-6);
}

static int64_t frame_now(const soft_card *card)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t elapsed_ns = (int64_t)t.tv_sec * (int64_t)k_ns_per_s + t.tv_nsec - card->file->epoch_ns;
    return (int64_t)floor((double)elapsed_ns / k_ns_per_s * card->rate_hz);
}

/* Make the descriptor readable when the clock gets to a frame; at once if it has passed. */
static void wake_at(soft_card *card, int64_t frame)
{
    int64_t ns =
        card->file->epoch_ns + (int64_t)ceil((double)frame / card->rate_hz * k_ns_per_s) + 1;
    if (ns < 1) ns = 1;
    struct itimerspec when = {{0, 0}, {ns / 1000000000, ns % 1000000000}};
    timerfd_settime(card->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static int gone(const soft_card *card) { return atomic_load(&card->device->unplugged) != 0; }

/* Frames that the clock has passed since the start, or -EPIPE when the application is too late. */
static int64_t hardware_position(const soft_card *card)
{
    int64_t passed = frame_now(card) - card->base;
    int64_t application = (int64_t)card->io.appl_ptr;
    if (passed < 0) passed = 0;
    if (card->io.stream == SND_PCM_STREAM_PLAYBACK) return passed > application ? -EPIPE : passed;
    return passed - application > (int64_t)card->io.buffer_size ? -EPIPE : passed;
}

static int64_t available(const soft_card *card, int64_t position)
{
    int64_t ahead = (int64_t)card->io.appl_ptr - position;
    return card->io.stream == SND_PCM_STREAM_PLAYBACK ? (int64_t)card->io.buffer_size - ahead
                                                      : -ahead;
}

/* --- sound --- */

static float *sample_at(const snd_pcm_channel_area_t *area, snd_pcm_uframes_t frame)
{
    return (float *)(void *)((char *)area->addr + (area->first + area->step * frame) / 8);
}

/* Put frames of the loudspeaker into the ring, both channels' mean; what is late stays silent. */
static void play(soft_card *card, const snd_pcm_channel_area_t *areas, snd_pcm_uframes_t offset,
                 snd_pcm_uframes_t frames, int64_t first)
{
    int64_t mask = card->file->ring_frames - 1;
    int64_t now = frame_now(card);
    for (snd_pcm_uframes_t i = 0; i < frames; i++) {
        int64_t frame = first + (int64_t)i;
        float sum = 0.0f;
        for (unsigned c = 0; c < card->io.channels; c++) sum += *sample_at(&areas[c], offset + i);
        if (frame < now) {
            atomic_fetch_add(&card->device->late_frames, 1);
            sum = 0.0f;
        }
        card->ring[frame & mask] = sum / (float)card->io.channels;
    }
    atomic_store(&card->file->played_end, first + (int64_t)frames);
}

/* Silence between what was played before and a new start. */
static void silence_until(soft_card *card, int64_t frame)
{
    int64_t from = atomic_load(&card->file->played_end);
    if (from < frame - card->file->ring_frames) from = frame - card->file->ring_frames;
    for (; from < frame; from++) card->ring[from & (card->file->ring_frames - 1)] = 0.0f;
}

static float played(const soft_card *card, int64_t frame, int64_t end)
{
    if (frame < 0 || frame >= end || frame < end - card->file->ring_frames) return 0.0f;
    return card->ring[frame & (card->file->ring_frames - 1)];
}

/* What is in the air at a loudspeaker position between two frames: Lagrange's cubic. */
static double air_at(const soft_card *card, double position, int64_t end)
{
    int64_t frame = (int64_t)floor(position);
    double x = position - (double)frame;
    double before = played(card, frame - 1, end), at = played(card, frame, end);
    double next = played(card, frame + 1, end), after = played(card, frame + 2, end);
    return -x * (x - 1.0) * (x - 2.0) / 6.0 * before +
           (x + 1.0) * (x - 1.0) * (x - 2.0) / 2.0 * at - (x + 1.0) * x * (x - 2.0) / 2.0 * next +
           (x + 1.0) * x * (x - 1.0) / 6.0 * after;
}

static void hear(const soft_card *card, const snd_pcm_channel_area_t *areas,
                 snd_pcm_uframes_t offset, snd_pcm_uframes_t frames, int64_t first)
{
    const soft_device *device = card->device;
    int64_t end = atomic_load(&card->file->played_end);
    double ratio = device_rate_hz(card->file, &card->file->device[LOUDSPEAKER]) / card->rate_hz;
    double delay = device->echo_delay_s * ratio * card->rate_hz;
    for (snd_pcm_uframes_t i = 0; i < frames; i++) {
        int64_t frame = first + (int64_t)i;
        double sound = 0.0;
        if (device->echo_gain != 0.0)
            sound = device->echo_gain * air_at(card, (double)frame * ratio - delay, end);
        if (device->near_frames > 0) sound += (double)card->near_end[frame % device->near_frames];
        for (unsigned c = 0; c < card->io.channels; c++)
            *sample_at(&areas[c], offset + i) = (float)sound;
    }
}

/* --- what ALSA calls --- */

static int soft_start(snd_pcm_ioplug_t *io)
{
    soft_card *card = io->private_data;
    if (gone(card)) return -ENODEV;
    atomic_fetch_add(&card->device->starts, 1);
    int64_t one_ms = card->file->rate_hz / 1000;
    if (io->stream == SND_PCM_STREAM_PLAYBACK) silence_until(card, frame_now(card) + 10 * one_ms);
    card->base = frame_now(card) + one_ms; /* so that nothing of the start is late */
    card->running = 1;
    if (card->areas != NULL && io->stream == SND_PCM_STREAM_PLAYBACK)
        play(card, card->areas, 0, io->appl_ptr, card->base);
    wake_at(card, card->base);
    return 0;
}

static int soft_stop(snd_pcm_ioplug_t *io)
{
    soft_card *card = io->private_data;
    card->running = 0;
    return 0;
}

static int soft_prepare(snd_pcm_ioplug_t *io)
{
    soft_card *card = io->private_data;
    card->running = 0;
    card->areas = NULL;
    return gone(card) ? -ENODEV : 0;
}

static snd_pcm_sframes_t soft_pointer(snd_pcm_ioplug_t *io)
{
    soft_card *card = io->private_data;
    if (gone(card)) {
        snd_pcm_ioplug_set_state(io, SND_PCM_STATE_DISCONNECTED);
        return -ENODEV;
    }
    if (!card->running) return 0;
    int64_t position = hardware_position(card);
    if (position < 0) {
        card->running = 0;
        atomic_fetch_add(&card->device->xruns, 1);
    }
    return (snd_pcm_sframes_t)position;
}

/* `areas` is ALSA's whole buffer, and the application's pointer stands at its first new frame. */
static snd_pcm_sframes_t soft_transfer(snd_pcm_ioplug_t *io, const snd_pcm_channel_area_t *areas,
                                       snd_pcm_uframes_t offset, snd_pcm_uframes_t size)
{
    soft_card *card = io->private_data;
    if (gone(card)) return -ENODEV;
    int64_t first = card->base + (int64_t)io->appl_ptr;
    if (io->stream == SND_PCM_STREAM_CAPTURE)
        hear(card, areas, offset, size, first);
    else if (card->running)
        play(card, areas, offset, size, first);
    card->areas = areas;
    atomic_fetch_add(&card->device->frames, (int64_t)size);
    return (snd_pcm_sframes_t)size;
}

static int soft_poll_revents(snd_pcm_ioplug_t *io, struct pollfd *descriptors, unsigned count,
                             unsigned short *events)
{
    soft_card *card = io->private_data;
    unsigned short ready = io->stream == SND_PCM_STREAM_PLAYBACK ? POLLOUT : POLLIN;
    (void)descriptors;
    (void)count;
    *events = 0;
    if (gone(card)) {
        *events = (unsigned short)(ready | POLLERR | POLLHUP);
        return 0;
    }
    int64_t position = card->running ? hardware_position(card) : -EPIPE;
    if (position < 0) {
        *events = (unsigned short)(ready | POLLERR);
        return 0;
    }
    int64_t wanted = position + (int64_t)card->avail_min - available(card, position);
    if (wanted <= position) {
        *events = ready;
        return 0;
    }
    /* As an interrupt, at the end of a whole period: an application that takes all there is would
     * otherwise wake a little later each time. */
    int64_t period = (int64_t)io->period_size;
    wake_at(card, card->base + (wanted + period - 1) / period * period);
    return 0;
}

static int soft_delay(snd_pcm_ioplug_t *io, snd_pcm_sframes_t *frames)
{
    soft_card *card = io->private_data;
    if (gone(card)) return -ENODEV;
    int64_t position = card->running ? hardware_position(card) : 0;
    if (position < 0) return (int)position;
    int64_t ahead = (int64_t)io->appl_ptr - position;
    *frames = io->stream == SND_PCM_STREAM_PLAYBACK ? ahead : -ahead;
    return 0;
}

static int soft_hw_params(snd_pcm_ioplug_t *io, snd_pcm_hw_params_t *parameters)
{
    soft_card *card = io->private_data;
    (void)parameters;
    card->avail_min = io->period_size;
    return 0;
}

static int soft_sw_params(snd_pcm_ioplug_t *io, snd_pcm_sw_params_t *parameters)
{
    soft_card *card = io->private_data;
    return snd_pcm_sw_params_get_avail_min(parameters, &card->avail_min);
}

static int soft_close(snd_pcm_ioplug_t *io)
{
    soft_card *card = io->private_data;
    if (card->file != NULL) munmap(card->file, card->file_bytes);
    if (card->timer >= 0) close(card->timer);
    free(card);
    return 0;
}

static const snd_pcm_ioplug_callback_t k_callbacks = {
    .start = soft_start,
    .stop = soft_stop,
    .pointer = soft_pointer,
    .transfer = soft_transfer,
    .close = soft_close,
    .hw_params = soft_hw_params,
    .sw_params = soft_sw_params,
    .prepare = soft_prepare,
    .poll_revents = soft_poll_revents,
    .delay = soft_delay,
};

/* --- opening --- */

static int map_file(soft_card *card, const char *path, long index)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return -ENODEV;
    off_t bytes = lseek(fd, 0, SEEK_END);
    void *at = bytes > HEADER_BYTES
                   ? mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                   : MAP_FAILED;
    close(fd);
    if (at == MAP_FAILED) return -ENODEV;
    card->file = at;
    card->file_bytes = (size_t)bytes;
    if (card->file->magic != k_magic) return -EINVAL;
    card->ring = (float *)(void *)((char *)at + HEADER_BYTES);
    card->near_end = card->ring + card->file->ring_frames;
    card->device = &card->file->device[index];
    card->rate_hz = device_rate_hz(card->file, card->device);
    return gone(card) ? -ENODEV : 0;
}

static int set_constraints(snd_pcm_ioplug_t *io, unsigned rate_hz)
{
    static const unsigned access[] = {SND_PCM_ACCESS_MMAP_INTERLEAVED};
    static const unsigned format[] = {SND_PCM_FORMAT_FLOAT_LE};
    static const unsigned frame_bytes = sizeof(float);
    int error = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_ACCESS, 1, access);
    if (error >= 0) error = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_FORMAT, 1, format);
    const unsigned range[][3] = {
        {SND_PCM_IOPLUG_HW_CHANNELS, 1, 2},
        {SND_PCM_IOPLUG_HW_RATE, rate_hz, rate_hz},
        {SND_PCM_IOPLUG_HW_PERIODS, 2, 64},
        {SND_PCM_IOPLUG_HW_PERIOD_BYTES, 32 * frame_bytes, 16384 * frame_bytes},
        {SND_PCM_IOPLUG_HW_BUFFER_BYTES, 64 * frame_bytes, 65536 * frame_bytes},
    };
    for (size_t i = 0; i < sizeof(range) / sizeof(range[0]) && error >= 0; i++)
        error = snd_pcm_ioplug_set_param_minmax(io, (int)range[i][0], range[i][1], range[i][2]);
    return error;
}

static int open_card(snd_pcm_t **out, const char *name, const char *path, long index,
                     snd_pcm_stream_t stream, int mode)
{
    if (path == NULL || index < 0 || index >= DEVICES) return -EINVAL;
    if ((index == LOUDSPEAKER) != (stream == SND_PCM_STREAM_PLAYBACK)) return -EINVAL;
    soft_card *card = calloc(1, sizeof *card);
    if (card == NULL) return -ENOMEM;
    card->io.private_data = card;
    card->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    int error = card->timer < 0 ? -errno : map_file(card, path, index);
    if (error >= 0) {
        wake_at(card, 0); /* readable until somebody waits for a frame */
        card->io.version = SND_PCM_IOPLUG_VERSION;
        card->io.name = "software sound card";
        card->io.flags = SND_PCM_IOPLUG_FLAG_MONOTONIC | SND_PCM_IOPLUG_FLAG_BOUNDARY_WA;
        card->io.poll_fd = card->timer;
        card->io.poll_events = POLLIN;
        card->io.callback = &k_callbacks;
        error = snd_pcm_ioplug_create(&card->io, name, stream, mode);
    }
    if (error < 0) {
        soft_close(&card->io);
        return error;
    }
    error = set_constraints(&card->io, (unsigned)card->file->rate_hz);
    if (error < 0) {
        snd_pcm_ioplug_delete(&card->io); /* closes the card too */
        return error;
    }
    atomic_fetch_add(&card->device->opens, 1);
    *out = card->io.pcm;
    return 0;
}

SND_PCM_PLUGIN_DEFINE_FUNC(soft_card)
{
    snd_config_iterator_t i, next;
    const char *path = NULL;
    long index = -1;
    (void)root;
    snd_config_for_each(i, next, conf)
    {
        snd_config_t *node = snd_config_iterator_entry(i);
        const char *id;
        if (snd_config_get_id(node, &id) < 0) continue;
        if (strcmp(id, "file") == 0) snd_config_get_string(node, &path);
        if (strcmp(id, "device") == 0) snd_config_get_integer(node, &index);
    }
    return open_card(pcmp, name, path, index, stream, mode);
}
SND_PCM_PLUGIN_SYMBOL(soft_card);
