package speech

import (
	"regexp"
	"strings"
)

// espeak-ng passes over signs of money and, in Chinese, over the point in
// numbers, and takes a long number, as of a telephone, for billions. What it
// would say wrong is written here as it is said. Other programs are given
// their texts as they are.

// figures are numbers, and what stands before and behind them.
var figures = regexp.MustCompile(`([¥￥$€£]\s?)?(\d[\d,]*)(\.\d+)?(:\d\d\b|%)?`)

// longNumber is how many digits are said one by one.
const longNumber = 7

// currencies are what signs of money are called, by language.
var currencies = map[string]map[string]string{
	"en": {"¥": " yuan", "￥": " yuan", "$": " dollars", "€": " euros", "£": " pounds"},
	"zh": {"¥": "元", "￥": "元", "$": "美元", "€": "欧元", "£": "英镑"},
}

// languageOf is the language of a locale: zh for all that is Chinese.
func languageOf(locale string) string {
	language, _, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(locale, "_", "-")), "-")
	switch language {
	case "":
		return "en"
	case "cmn", "yue":
		return "zh"
	}
	return language
}

// spoken is a text as espeak-ng should be given it.
func spoken(text, locale string) string {
	language := languageOf(locale)
	return figures.ReplaceAllStringFunc(text, func(figure string) string {
		part := figures.FindStringSubmatch(figure)
		return figureSpoken(language, strings.TrimSpace(part[1]), part[2], part[3], part[4])
	})
}

// figureSpoken is one figure: a sign of money, a number, its fraction with the
// point, and a percent sign or minutes with their colon. Each but the number
// may be empty.
func figureSpoken(language, sign, number, fraction, behind string) string {
	if sign == "" && fraction == "" && behind == "" && len(number) >= longNumber && !strings.Contains(number, ",") {
		return strings.Join(strings.Split(number, ""), " ")
	}
	unit, known := currencies[language][sign]
	if known {
		fraction = strings.TrimSuffix(strings.TrimRight(fraction, "0"), ".")
	} else {
		number = sign + number
	}
	if language != "zh" {
		return number + fraction + unit + behind
	}
	number += strings.Replace(fraction, ".", "点", 1)
	minutes, isTime := strings.CutPrefix(behind, ":")
	switch {
	case behind == "%":
		return "百分之" + number + unit
	case isTime && minutes == "00":
		return number + "点"
	case isTime:
		return number + "点" + minutes + "分"
	}
	return number + unit
}
