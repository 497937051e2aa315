package demo

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"time"
)

//go:embed data/stocks.csv
var stocks []byte

// Price is one price of the series in data/stocks.csv.
type Price struct {
	Symbol string
	Date   time.Time
	Value  float64
}

// Prices is the whole series, in order of time.
func Prices() ([]Price, error) {
	rows, err := csv.NewReader(bytes.NewReader(stocks)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("the price series: %w", err)
	}
	var list []Price
	for _, row := range rows[1:] {
		date, err := time.Parse("Jan 2 2006", row[1])
		if err != nil {
			return nil, fmt.Errorf("the price series: %w", err)
		}
		value, err := strconv.ParseFloat(row[2], 64)
		if err != nil {
			return nil, fmt.Errorf("the price series: %w", err)
		}
		list = append(list, Price{row[0], date, value})
	}
	slices.SortStableFunc(list, func(a, b Price) int { return a.Date.Compare(b.Date) })
	return list, nil
}
