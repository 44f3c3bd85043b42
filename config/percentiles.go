package config

import (
	"strconv"
	"strings"
)

var (
	errPercentile      wording = "Invalid latency-tracking-info-percentiles parameters"
	errPercentileRange wording = "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"
)

// percentiles are numbers from 0 to 100.
type percentiles struct{ p *[]float64 }

func (v percentiles) form() string { return "percentile ..." }

func (v percentiles) String() string {
	words := make([]string, len(*v.p))
	for i, p := range *v.p {
		words[i] = strconv.FormatFloat(p, 'g', -1, 64)
	}
	return strings.Join(words, " ")
}

func (v percentiles) set(words []string) error {
	list := make([]float64, len(words))
	for i, word := range words {
		p, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return errPercentile
		}
		if !(p >= 0 && p <= 100) {
			return errPercentileRange
		}
		list[i] = p
	}
	*v.p = list
	return nil
}
