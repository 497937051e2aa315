package calendar

import (
	"math"
	"time"
)

// The ecliptic longitudes, in degrees, at which the solar terms begin that are
// festivals.
const (
	clearAndBright = 15  // Qingming
	winterSolstice = 270 // Dongzhi
)

// beijing is the clock by which the Chinese calendar has its dates
// (GB/T 33661-2017).
var beijing = time.FixedZone("UTC+8", 8*60*60)

// solarTerm is the date on which the sun reaches a longitude in a year.
//
// The instant is within six minutes of an ephemeris from 1900 to 2100; that
// the dates are those that are published is tested for each of these years.
func solarTerm(year int, longitude float64) Date {
	const (
		tropicalYear = 365.2422     // days
		unixEpoch    = 2440587.5    // as a Julian day
		deltaT       = 64.0 / 86400 // days from universal to dynamical time, in the middle of the range
	)
	// The sun is at 0 degrees about 20 March.
	equinox := time.Date(year, time.March, 20, 0, 0, 0, 0, time.UTC)
	day := float64(equinox.Unix())/86400 + unixEpoch + longitude/360*tropicalYear
	for range 10 {
		ahead := math.Mod(longitude-sunLongitude(day)+540, 360)
		if ahead < 0 {
			ahead += 360
		}
		day += (ahead - 180) / 360 * tropicalYear
	}
	seconds := (day - deltaT - unixEpoch) * 86400
	return DateOf(time.Unix(int64(math.Floor(seconds)), 0).In(beijing))
}

// sunLongitude is the sun's apparent longitude in degrees, not reduced to a
// circle, at a Julian ephemeris day (Meeus, Astronomical Formulae for
// Calculators, chapter 18, with the perturbations by Venus, Jupiter and the
// moon).
func sunLongitude(day float64) float64 {
	const degree = math.Pi / 180
	t := (day - 2415020) / 36525
	mean := 279.69668 + 36000.76892*t + 0.0003025*t*t
	anomaly := (358.47583 + 35999.04975*t - 0.000150*t*t - 0.0000033*t*t*t) * degree
	centre := (1.919460-0.004789*t-0.000014*t*t)*math.Sin(anomaly) +
		(0.020094-0.000100*t)*math.Sin(2*anomaly) +
		0.000293*math.Sin(3*anomaly)
	perturbed := 0.00134*math.Cos((153.23+22518.7541*t)*degree) +
		0.00154*math.Cos((216.57+45037.5082*t)*degree) +
		0.00200*math.Cos((312.69+32964.3577*t)*degree) +
		0.00179*math.Sin((350.74+445267.1142*t-0.00144*t*t)*degree) +
		0.00178*math.Sin((231.19+20.20*t)*degree)
	apparent := -0.00569 - 0.00479*math.Sin((259.18-1934.142*t)*degree)
	return mean + centre + perturbed + apparent
}
