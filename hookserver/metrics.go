package hookserver

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are in a registry of their own. Labels are courses of the
// configuration and fixed words, never a student.
type metrics struct {
	registry  *prometheus.Registry
	logins    *prometheus.CounterVec // by result
	exchanges *prometheus.CounterVec // by result
	requests  *prometheus.CounterVec // by route and status
	bytes     *prometheus.CounterVec // by kind
	cache     *prometheus.CounterVec // by result
	made      prometheus.Counter
	strange   prometheus.Counter
}

func newMetrics(s *Server) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		registry:  prometheus.NewRegistry(),
		logins:    counter("satchel_logins_total", "Logins posted by the hub's hook.", "result"),
		exchanges: counter("satchel_exchanges_total", "Tokens of the hub that were shown for a ticket.", "result"),
		requests:  counter("satchel_requests_total", "Requests by route and status; route sync with 304 is a login with nothing new.", "route", "status"),
		bytes:     counter("satchel_sent_bytes_total", "Bytes sent to students: offers, frames as stored, frames put together; redirected are those that S3 was to send.", "kind"),
		cache:     counter("satchel_cache_total", "Bundles opened through the disk cache.", "result"),
		made:      prometheus.NewCounter(prometheus.CounterOpts{Name: "satchel_frames_assembled_total", Help: "Frames put together because a stored one mixes."}),
		strange:   prometheus.NewCounter(prometheus.CounterOpts{Name: "satchel_agents_without_key_total", Help: "Syncs by agents that trust none of the keys by which a course is signed."}),
	}
	m.registry.MustRegister(m.logins, m.exchanges, m.requests, m.bytes, m.cache, m.made, m.strange, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), courseMetrics{s})
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "satchel_listeners", Help: "Event streams that are open."},
		func() float64 { return float64(s.events.count()) }))
	if s.o.Silent != nil {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "satchel_agents_did_not_run", Help: "Logins without any request 15 minutes later."}, s.o.Silent))
	}
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// courseMetrics tells of each configured course what Status says.
type courseMetrics struct{ s *Server }

var (
	descVersion = prometheus.NewDesc("satchel_course_version", "Version that is served.", []string{"course"}, nil)
	descAge     = prometheus.NewDesc("satchel_course_head_age_seconds", "Since the repository was last seen unchanged, by the head.", []string{"course"}, nil)
	descBroken  = prometheus.NewDesc("satchel_course_unreadable", "1 while the course's record cannot be read or is refused.", []string{"course"}, nil)
	descProven  = prometheus.NewDesc("satchel_course_went_backwards", "A version above the served one that an agent proved; 0 when there is none.", []string{"course"}, nil)
)

func (c courseMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descVersion, descAge, descBroken, descProven} {
		ch <- d
	}
}

func (c courseMetrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, course string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, course)
	}
	for _, st := range c.s.Status() {
		gauge(descVersion, float64(st.Version), st.Course)
		gauge(descProven, float64(st.Proven), st.Course)
		if !st.Checked.IsZero() {
			gauge(descAge, c.s.o.Now().Sub(st.Checked).Seconds(), st.Course)
		}
		broken := 0.0
		if !st.Since.IsZero() {
			broken = 1
		}
		gauge(descBroken, broken, st.Course)
	}
}
