package calendar

import "time"

// Festival is an occasion that has a name.
type Festival struct {
	Name   string // as Parse takes it: "mid_autumn"
	En, Zh string // as people read it
	Lunar  string // its month and day of the Chinese calendar, "8-15"; empty: it goes by another
	dates  rule
}

// In is the festival's name in a language: Chinese for "zh" and what begins so,
// English for all others.
func (f Festival) In(locale string) string {
	if len(locale) >= 2 && locale[:2] == "zh" {
		return f.Zh
	}
	return f.En
}

// Festivals are the occasions that have names, about in the order of the year.
func Festivals() []Festival {
	return []Festival{
		{"new_year", "New Year's Day", "元旦", "", kept(time.January, 1)},
		{"laba", "Laba Festival", "腊八节", "12-8", lunar(12, 8)},
		{"new_years_eve", "Lunar New Year's Eve", "除夕", "12-30", known(func(year int) Date { return newYear(year + 1).AddDays(-1) })},
		{"spring_festival", "Spring Festival", "春节", "1-1", lunar(1, 1)},
		{"lantern", "Lantern Festival", "元宵节", "1-15", lunar(1, 15)},
		{"valentines_day", "Valentine's Day", "情人节", "", kept(time.February, 14)},
		{"womens_day", "Women's Day", "妇女节", "", kept(time.March, 8)},
		{"qingming", "Qingming Festival", "清明节", "", term(clearAndBright)},
		{"good_friday", "Good Friday", "耶稣受难日", "", easterly(-2)},
		{"easter", "Easter Sunday", "复活节", "", easterly(0)},
		{"labour_day", "Labour Day (1 May)", "劳动节", "", kept(time.May, 1)},
		{"mothers_day", "Mother's Day", "母亲节", "", weekday(2, time.Sunday, time.May)},
		{"dragon_boat", "Dragon Boat Festival", "端午节", "5-5", lunar(5, 5)},
		{"childrens_day", "Children's Day", "儿童节", "", kept(time.June, 1)},
		{"fathers_day", "Father's Day", "父亲节", "", weekday(3, time.Sunday, time.June)},
		{"qixi", "Qixi Festival", "七夕节", "7-7", lunar(7, 7)},
		{"ghost", "Ghost Festival", "中元节", "7-15", lunar(7, 15)},
		{"teachers_day", "Teachers' Day", "教师节", "", kept(time.September, 10)},
		{"mid_autumn", "Mid-Autumn Festival", "中秋节", "8-15", lunar(8, 15)},
		{"national_day", "National Day of China", "国庆节", "", kept(time.October, 1)},
		{"double_ninth", "Double Ninth Festival", "重阳节", "9-9", lunar(9, 9)},
		{"singles_day", "Singles' Day (11 November)", "双十一", "", kept(time.November, 11)},
		{"thanksgiving", "Thanksgiving", "感恩节", "", weekday(4, time.Thursday, time.November)},
		{"winter_solstice", "Winter Solstice", "冬至", "", term(winterSolstice)},
		{"christmas", "Christmas Day", "圣诞节", "", kept(time.December, 25)},
	}
}

// festival finds one by its name; dongzhi is another name of the solstice.
func festival(name string) (Festival, bool) {
	if name == "dongzhi" {
		name = "winter_solstice"
	}
	for _, f := range Festivals() {
		if f.Name == name {
			return f, true
		}
	}
	return Festival{}, false
}
