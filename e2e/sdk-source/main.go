// Command sdk-source is an application with the OpenTelemetry SDK: it records known values with every kind of instrument, by
// cumulative and by delta temporality, sends them over OTLP/gRPC and ends. The end-to-end test knows the sums.
package main

import (
	"context"
	"log"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
)

const (
	rounds   = 40
	pause    = 100 * time.Millisecond
	interval = 500 * time.Millisecond
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: sdk-source HOST:PORT")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cumulative := provider(ctx, os.Args[1], "cumulative", metricdata.CumulativeTemporality)
	delta := provider(ctx, os.Args[1], "delta", metricdata.DeltaTemporality)
	providers := []*sdk.MeterProvider{cumulative, delta}
	var records []func(round int)
	for _, provider := range providers {
		records = append(records, instruments(provider.Meter("e2e")))
	}
	for round := 1; round <= rounds; round++ {
		for _, record := range records {
			record(round)
		}
		time.Sleep(pause)
	}
	for _, provider := range providers {
		if err := provider.Shutdown(ctx); err != nil {
			log.Fatal(err)
		}
	}
}

func provider(ctx context.Context, address, name string, temporality metricdata.Temporality) *sdk.MeterProvider {
	exporter, err := otlpmetricgrpc.New(ctx,
		otlpmetricgrpc.WithEndpoint(address),
		otlpmetricgrpc.WithInsecure(),
		otlpmetricgrpc.WithTemporalitySelector(func(sdk.InstrumentKind) metricdata.Temporality { return temporality }),
	)
	if err != nil {
		log.Fatal(err)
	}
	exponential := sdk.NewView(
		sdk.Instrument{Name: "sdk.exponential"},
		sdk.Stream{Aggregation: sdk.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}},
	)
	return sdk.NewMeterProvider(
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.instance.id", name))),
		sdk.WithReader(sdk.NewPeriodicReader(exporter, sdk.WithInterval(interval))),
		sdk.WithView(exponential),
	)
}

// instruments makes one of each kind; the function that it returns records the values of one round.
func instruments(meter metric.Meter) func(round int) {
	ctx := context.Background()
	requests, err := meter.Int64Counter("sdk.requests", metric.WithDescription("Requests so far."))
	check(err)
	energy, err := meter.Float64Counter("sdk.energy", metric.WithUnit("J"))
	check(err)
	connections, err := meter.Int64UpDownCounter("sdk.connections")
	check(err)
	temperature, err := meter.Float64Gauge("sdk.temperature", metric.WithUnit("Cel"))
	check(err)
	explicit, err := meter.Float64Histogram("sdk.explicit", metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(0.1, 1, 10))
	check(err)
	exponential, err := meter.Float64Histogram("sdk.exponential", metric.WithUnit("s"))
	check(err)
	get := metric.WithAttributes(attribute.String("http.request.method", "GET"))
	return func(round int) {
		requests.Add(ctx, 3, get)
		energy.Add(ctx, 0.5)
		connections.Add(ctx, 2)
		if round%2 == 0 {
			connections.Add(ctx, -2)
		}
		temperature.Record(ctx, 20.5)
		for _, seconds := range []float64{0.05, 0.5, 5, 50} {
			explicit.Record(ctx, seconds)
			exponential.Record(ctx, seconds)
		}
		exponential.Record(ctx, 0)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
