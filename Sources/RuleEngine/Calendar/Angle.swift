/// Angles in degrees and their functions, exact to a few units in the last place. The core has no C library, and what it decides must not differ between machines.
enum Angle {
    static let perRadian = 180.0 / Double.pi

    static func sine(_ degrees: Double) -> Double { sineAndCosine(degrees).sine }
    static func cosine(_ degrees: Double) -> Double { sineAndCosine(degrees).cosine }

    static func sineAndCosine(_ degrees: Double) -> (sine: Double, cosine: Double) {
        guard degrees.isFinite else { return (.nan, .nan) }
        let turned = degrees.truncatingRemainder(dividingBy: 360)
        // To the nearest right angle at most 45 degrees remain, for which the series below end quickly.
        let quarter = (turned / 90).rounded()
        let rest = (turned - quarter * 90) / perRadian
        let square = rest * rest
        let sine = rest * series(square, sineFactors)
        let cosine = series(square, cosineFactors)
        switch Int(quarter) & 3 {
        case 0: return (sine, cosine)
        case 1: return (cosine, -sine)
        case 2: return (-sine, -cosine)
        default: return (-cosine, sine)
        }
    }

    private static let sineFactors: [Double] = [6, 20, 42, 72, 110, 156, 210, 272]
    private static let cosineFactors: [Double] = [2, 12, 30, 56, 90, 132, 182, 240]

    /// 1 − x/a + x²/(a·b) − …
    private static func series(_ x: Double, _ factors: [Double]) -> Double {
        var sum = 1.0
        for factor in factors.reversed() { sum = 1 - x / factor * sum }
        return sum
    }

    /// The angle of a point as seen from the origin, -180 to 180.
    static func arcTangent(_ y: Double, _ x: Double) -> Double {
        let (low, high) = (min(x.magnitude, y.magnitude), max(x.magnitude, y.magnitude))
        guard high > 0 else { return 0 }
        var angle = arcTangent(low / high)
        if y.magnitude > x.magnitude { angle = 90 - angle }
        if x < 0 { angle = 180 - angle }
        return y < 0 ? -angle : angle
    }

    /// Of 0 to 1.
    private static func arcTangent(_ ratio: Double) -> Double {
        // Above tan 22.5°, what is left from 45° is smaller.
        guard ratio > 0.414_213_562_373_095 else { return leibniz(ratio) * perRadian }
        return 45 + leibniz((ratio - 1) / (ratio + 1)) * perRadian
    }

    private static func leibniz(_ x: Double) -> Double {
        let square = x * x
        var sum = 0.0
        for term in stride(from: 41.0, through: 1, by: -2) { sum = 1 / term - square * sum }
        return x * sum
    }

    static func arcSine(_ x: Double) -> Double {
        let bounded = min(1, max(-1, x))
        return arcTangent(bounded, ((1 - bounded) * (1 + bounded)).squareRoot())
    }
}
