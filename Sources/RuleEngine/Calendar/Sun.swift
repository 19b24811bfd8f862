/// Where the sun stands. (J. Meeus, Astronomical Algorithms, chapters 12, 13, 22 and 25 in low accuracy: within 0.01° between 1900 and 2100.)
enum Sun {
    /// Below it the sun has set: half its disc, and what the air bends at the horizon.
    static let horizon = -0.833

    /// Degrees of its centre above the horizon, as if there were no air.
    static func elevation(at instant: Instant, seenFrom place: GeoPoint) -> Double {
        elevation(Double(instant.nanoseconds) / 1e9, place)
    }

    private static func elevation(_ second: Double, _ place: GeoPoint) -> Double {
        let (declination, hourAngle) = position(second, place.longitude)
        let (sine, cosine) = Angle.sineAndCosine(place.latitude)
        return Angle.arcSine(sine * declination.sine + cosine * declination.cosine * Angle.cosine(hourAngle))
    }

    /// Declination, and the hour angle in degrees: 0 at noon, rising with time.
    private static func position(_ second: Double, _ longitude: Double) -> (declination: (sine: Double, cosine: Double), hourAngle: Double)
    {
        // Days and Julian centuries since 2000-01-01T12:00:00Z.
        let days = second / 86_400 - 10_957.5
        let century = days / 36_525
        let meanLongitude = 280.46646 + century * (36_000.76983 + century * 0.0003032)
        let anomaly = 357.52911 + century * (35_999.05029 - century * 0.0001537)
        let centre =
            (1.914602 - century * (0.004817 + century * 0.000014)) * Angle.sine(anomaly)
            + (0.019993 - century * 0.000101) * Angle.sine(2 * anomaly) + 0.000289 * Angle.sine(3 * anomaly)
        let node = Angle.sineAndCosine(125.04 - 1_934.136 * century)
        let apparent = Angle.sineAndCosine(meanLongitude + centre - 0.00569 - 0.00478 * node.sine)
        let obliquity = Angle.sineAndCosine(23.439291 - 0.0130042 * century + 0.00256 * node.cosine)
        let sine = obliquity.sine * apparent.sine
        let rightAscension = Angle.arcTangent(obliquity.cosine * apparent.sine, apparent.cosine)
        let sidereal = 280.46061837 + 360.98564736629 * days + century * century * 0.000387933
        return ((sine, ((1 - sine) * (1 + sine)).squareRoot()), sidereal + longitude - rightAscension)
    }

    /// When the sun next rises above, and next sinks to or below, an elevation; nil when it does not within 400 days.
    static func crossings(of elevation: Double, after instant: Instant, seenFrom place: GeoPoint) -> (up: Instant?, down: Instant?) {
        var (up, down): (Instant?, Instant?)
        var start = instant.wholeSeconds
        var isAbove = Sun.elevation(Double(start), place) > elevation
        let end = start + 400 * 86_400
        // Between noon and midnight the sun only sinks, and between midnight and noon it only rises: at most one crossing in each half of a day.
        while start < end, up == nil || down == nil {
            let next = culmination(after: start, place.longitude)
            let isAboveThen = Sun.elevation(Double(next), place) > elevation
            if isAboveThen != isAbove {
                let crossing = Instant(seconds: bisect(start, next, isAboveThen, elevation, place))
                if isAboveThen { up = up ?? crossing } else { down = down ?? crossing }
            }
            (start, isAbove) = (next, isAboveThen)
        }
        return (up, down)
    }

    /// The next noon or midnight of the sun, to a second or two.
    private static func culmination(after second: Int64, _ longitude: Double) -> Int64 {
        let secondsPerDegree = 240.0
        var angle = position(Double(second), longitude).hourAngle.truncatingRemainder(dividingBy: 180)
        if angle < 0 { angle += 180 }
        let guess = Double(second) + (180 - angle) * secondsPerDegree
        var rest = position(guess, longitude).hourAngle.truncatingRemainder(dividingBy: 180)
        if rest < -90 { rest += 180 } else if rest > 90 { rest -= 180 }
        // Just past one, the next is half a day on.
        return max(second + 60, Int64((guess - rest * secondsPerDegree).rounded()))
    }

    /// The first whole second in (low, high] at which the sun is on the side that it is on at the end.
    private static func bisect(_ low: Int64, _ high: Int64, _ side: Bool, _ elevation: Double, _ place: GeoPoint) -> Int64 {
        var (low, high) = (low, high)
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if (Sun.elevation(Double(middle), place) > elevation) == side { high = middle } else { low = middle }
        }
        return high
    }
}

/// The next crossings of elevations at places, kept until the first of them comes.
struct SunTimes {
    struct Key: Hashable {
        var place: GeoPoint
        var elevation: Double
    }
    private struct Entry {
        var from: Instant
        var up: Instant?
        var down: Instant?
    }
    private var entries: [Key: Entry] = [:]

    mutating func crossings(of elevation: Double, after instant: Instant, seenFrom place: GeoPoint) -> (up: Instant?, down: Instant?) {
        let key = Key(place: place, elevation: elevation)
        if let known = entries[key], known.from <= instant, instant < min(known.up ?? .distantFuture, known.down ?? .distantFuture),
            // Where it never crosses, that was looked for in 400 days only.
            known.up != nil && known.down != nil || instant - known.from < 86_400_000_000_000
        {
            return (known.up, known.down)
        }
        let (up, down) = Sun.crossings(of: elevation, after: instant, seenFrom: place)
        // Whoever chooses the places, this does not grow without bound.
        if entries.count >= 4096 { entries.removeAll() }
        entries[key] = Entry(from: instant, up: up, down: down)
        return (up, down)
    }
}
