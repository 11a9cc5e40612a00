// Reads the files of a day of the cold tier as Cortex would: with the module parquet-common, from labels.parquet and
// chunks.parquet. Selectors come on standard input, one a line; each is answered by a line of JSON: series with all samples of
// the times that were asked for, values as the bits of a float.
//
//	parquet-common FOLDER FIRST_MS LAST_MS
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"github.com/prometheus-community/parquet-common/queryable"
	"github.com/prometheus-community/parquet-common/schema"
	"github.com/prometheus-community/parquet-common/search"
	"github.com/prometheus-community/parquet-common/storage"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql/parser"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// series is one of an answer.
type series struct {
	Labels map[string]string `json:"labels"`
	// Time in ms, bits of the value.
	Samples [][2]string `json:"samples"`
	// Time in ms, bits of count and sum, then bits of bounds and count of each bucket that is not empty.
	Histograms [][]string `json:"histograms"`
}

// file opens one file, whatever the name of the shard is.
type file string

func (f file) Open(ctx context.Context, _ string, opts ...storage.FileOption) (*storage.ParquetFile, error) {
	return storage.OpenFromFile(ctx, string(f), opts...)
}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if len(os.Args) != 4 {
		return fmt.Errorf("usage: parquet-common FOLDER FIRST_MS LAST_MS")
	}
	folder := os.Args[1]
	mint, err := strconv.ParseInt(os.Args[2], 10, 64)
	if err != nil {
		return err
	}
	maxt, err := strconv.ParseInt(os.Args[3], 10, 64)
	if err != nil {
		return err
	}
	labelsFile, chunksFile := file(filepath.Join(folder, "labels.parquet")), file(filepath.Join(folder, "chunks.parquet"))
	shard, err := storage.NewParquetShardOpener(ctx, "day", labelsFile, chunksFile, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", folder, err)
	}
	defer shard.Close()
	shards := func(context.Context, int64, int64) ([]storage.ParquetShard, error) {
		return []storage.ParquetShard{shard}, nil
	}
	cache := func(context.Context) (search.RowRangesForConstraintsCache, error) {
		return search.NewConstraintRowRangeCacheSyncMap(), nil
	}
	asked, err := queryable.NewParquetQueryable(shards, cache, schema.NewPrometheusParquetChunksDecoder(chunkenc.NewPool()))
	if err != nil {
		return err
	}
	querier, err := asked.Querier(mint, maxt)
	if err != nil {
		return err
	}
	defer querier.Close()

	out := bufio.NewWriter(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		matchers, err := parser.ParseMetricSelector(lines.Text())
		if err != nil {
			return fmt.Errorf("%s: %w", lines.Text(), err)
		}
		answer, err := answerTo(ctx, querier, mint, maxt, matchers)
		if err != nil {
			return fmt.Errorf("%s: %w", lines.Text(), err)
		}
		line, err := json.Marshal(answer)
		if err != nil {
			return err
		}
		if _, err := out.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return out.Flush()
}

func answerTo(ctx context.Context, querier promstorage.Querier, mint, maxt int64, matchers []*labels.Matcher) ([]series, error) {
	found := querier.Select(ctx, true, &promstorage.SelectHints{Start: mint, End: maxt}, matchers...)
	answer := []series{}
	var samples chunkenc.Iterator
	for found.Next() {
		one := series{Labels: found.At().Labels().Map(), Samples: [][2]string{}, Histograms: [][]string{}}
		samples = found.At().Iterator(samples)
		for kind := samples.Next(); kind != chunkenc.ValNone; kind = samples.Next() {
			if t := samples.AtT(); t < mint || t > maxt {
				continue
			}
			if kind == chunkenc.ValFloat {
				t, v := samples.At()
				if !value.IsStaleNaN(v) {
					one.Samples = append(one.Samples, [2]string{strconv.FormatInt(t, 10), bits(v)})
				}
				continue
			}
			t, h := samples.AtFloatHistogram(nil)
			if !value.IsStaleNaN(h.Sum) {
				one.Histograms = append(one.Histograms, append([]string{strconv.FormatInt(t, 10)}, numbers(h)...))
			}
		}
		if err := samples.Err(); err != nil {
			return nil, err
		}
		if len(one.Samples)+len(one.Histograms) > 0 {
			answer = append(answer, one)
		}
	}
	return answer, found.Err()
}

func numbers(h *histogram.FloatHistogram) []string {
	all := []string{bits(h.Count), bits(h.Sum)}
	for buckets := h.AllBucketIterator(); buckets.Next(); {
		if bucket := buckets.At(); bucket.Count != 0 {
			all = append(all, bits(bucket.Lower), bits(bucket.Upper), bits(bucket.Count))
		}
	}
	return all
}

// bits of a float; all values that are no numbers are one.
func bits(v float64) string {
	if math.IsNaN(v) {
		v = math.NaN()
	}
	return strconv.FormatUint(math.Float64bits(v), 10)
}
