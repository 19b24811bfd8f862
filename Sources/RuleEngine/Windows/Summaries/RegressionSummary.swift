/// The least-squares line: means and centred sums of products, time in seconds since the first sample.
struct RegressionSummary: WindowSummary {
    private(set) var count = 0
    private var origin = Instant.distantPast
    private var meanTime = 0.0
    private var meanValue = 0.0
    private var timeSquares = 0.0
    private var products = 0.0
    private var firstValue = 0.0
    /// Equal values give a slope of exactly 0, as in PromQL.
    private var isConstant = true

    init() {}

    @inline(__always) mutating func push(_ sample: Sample) {
        guard count > 0 else {
            (count, origin, meanValue, firstValue) = (1, sample.at, sample.value, sample.value)
            return
        }
        count += 1
        let time = Double(sample.at - origin) / 1e9
        let (timeStep, valueStep) = (time - meanTime, sample.value - meanValue)
        meanTime += timeStep / Double(count)
        meanValue += valueStep / Double(count)
        timeSquares += timeStep * (time - meanTime)
        products += timeStep * (sample.value - meanValue)
        isConstant = isConstant && sample.value == firstValue
    }

    @inline(__always) mutating func merge(_ newer: RegressionSummary) {
        guard newer.count > 0 else { return }
        guard count > 0 else { return self = newer }
        let (n, m) = (Double(count), Double(newer.count))
        let timeStep = newer.meanTime + Double(newer.origin - origin) / 1e9 - meanTime
        let valueStep = newer.meanValue - meanValue
        let weight = n * m / (n + m)
        timeSquares += newer.timeSquares + timeStep * timeStep * weight
        products += newer.products + timeStep * valueStep * weight
        meanTime += timeStep * (m / (n + m))
        meanValue += valueStep * (m / (n + m))
        isConstant = isConstant && newer.isConstant && firstValue == newer.firstValue
        count += newer.count
    }

    /// Per second; nil where there is no time from one sample to another.
    var slope: Double? {
        guard count > 1, timeSquares > 0 else { return nil }
        if isConstant { return firstValue.isFinite ? 0 : .nan }
        return products / timeSquares
    }

    func value(at instant: Instant, ahead: Int64) -> Double? {
        guard let slope else { return nil }
        if isConstant { return firstValue.isFinite ? firstValue : .nan }
        return meanValue + slope * (Double(instant - origin) / 1e9 - meanTime + Double(ahead) / 1e9)
    }

    func write(to snapshot: inout SnapshotWriter) {
        snapshot.write(count)
        snapshot.write(origin)
        for number in [meanTime, meanValue, timeSquares, products, firstValue] { snapshot.write(number) }
        snapshot.write(isConstant)
    }

    init?(from snapshot: inout SnapshotReader) {
        guard let count = snapshot.readCount(), let origin = snapshot.readInstant(), let meanTime = snapshot.readDouble(),
            let meanValue = snapshot.readDouble(), let timeSquares = snapshot.readDouble(), let products = snapshot.readDouble(),
            let firstValue = snapshot.readDouble(), let isConstant = snapshot.readBool()
        else { return nil }
        (self.count, self.origin, self.meanTime, self.meanValue) = (count, origin, meanTime, meanValue)
        (self.timeSquares, self.products, self.firstValue, self.isConstant) = (timeSquares, products, firstValue, isConstant)
    }
}
