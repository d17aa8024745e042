#include "ae_capture_port.h"

#include "ae_host.h"
#include "ae_math.h"
#include "ae_ring.h"

enum {
    k_slice_frames = 4096, /* a device's block is one write: the bridge must see how long it is */
    k_continue = 0,        /* paContinue */
};

struct ae_capture_port {
    int channels;
    int device_channels;
    double sample_period_s;
    ae_callback callback;
    ae_clock_bridge *bridge;
    ae_triple *published;
    ae_callback_report newest; /* the reading thread's last copy */
    float slice[k_slice_frames * AE_MAX_CHANNELS];
};

ae_status ae_capture_port_create(ae_capture_port **out, const ae_clock_bridge_config *config)
{
    *out = NULL;
    ae_capture_port *self = ae_allocate(sizeof *self);
    if (self == NULL) return AE_ERROR_MEMORY;
    ae_status status = ae_clock_bridge_create(&self->bridge, config);
    if (status == AE_OK) status = ae_triple_create(&self->published, sizeof(ae_callback_report));
    if (status != AE_OK) {
        ae_capture_port_destroy(self);
        return status;
    }
    self->channels = config->channels;
    self->sample_period_s = 1.0 / config->input_rate_hz;
    *out = self;
    return AE_OK;
}

void ae_capture_port_destroy(ae_capture_port *self)
{
    if (self == NULL) return;
    ae_clock_bridge_destroy(self->bridge);
    ae_triple_destroy(self->published);
    ae_free(self);
}

void ae_capture_port_open(ae_capture_port *self, int device_channels, double buffer_s)
{
    self->device_channels = device_channels;
    ae_callback_open(&self->callback, buffer_s, 1);
    ae_clock_bridge_open_writer(self->bridge);
}

static void map_channels(const ae_capture_port *self, const float *in, float *out, int frames)
{
    for (int n = 0; n < frames; n++, in += self->device_channels) {
        for (int c = 0; c < self->channels; c++) *out++ = in[c % self->device_channels];
    }
}

int ae_capture_port_callback(const void *in, void *out, unsigned long frames, const void *time_info,
                             unsigned long flags, void *user)
{
    ae_capture_port *self = user;
    const double now_s = ae_host_now_s();
    (void)out;
    ae_callback_enter(&self->callback, now_s, frames, time_info, flags);
    const float *from = in;
    if (from == NULL || self->device_channels == self->channels) {
        ae_clock_bridge_write(self->bridge, from, (int)frames, now_s);
    } else {
        for (int left = (int)frames; left > 0;) {
            const int now = left < k_slice_frames ? left : k_slice_frames;
            map_channels(self, from, self->slice, now);
            left -= now;
            from += (size_t)now * (size_t)self->device_channels;
            /* A longer block than the bridge takes: each slice as if it had come at its own end. */
            ae_clock_bridge_write(self->bridge, self->slice, now,
                                  now_s - left * self->sample_period_s);
        }
    }
    ae_triple_write(self->published, &self->callback.report);
    return k_continue;
}

void ae_capture_port_read(ae_capture_port *self, ae_callback_report *out)
{
    ae_triple_read(self->published, &self->newest);
    *out = self->newest;
}

ae_clock_bridge *ae_capture_port_bridge(ae_capture_port *self) { return self->bridge; }
