/// A decimal of MongoDB (IEEE 754-2008, 128 bits, binary integer coefficient), read only.
struct Decimal128 {
    var low: UInt64
    var high: UInt64

    /// Plain digits where the exponent is small, else with an exponent.
    var text: String {
        let sign = high >> 63 == 1 ? "-" : ""
        let combination = high >> 58 & 0x1F
        if combination == 0x1F { return "NaN" }
        if combination == 0x1E { return sign + "Infinity" }
        // Coefficients of the other form are above 34 digits: zero by the standard.
        let isLarge = high >> 61 & 3 == 3
        let exponent = Int(isLarge ? high >> 47 & 0x3FFF : high >> 49 & 0x3FFF) - 6176
        let coefficient = isLarge ? 0 : UInt128(high & 0x1_FFFF_FFFF_FFFF) << 64 | UInt128(low)
        let digits = String(coefficient)
        guard exponent != 0 else { return sign + digits }
        guard exponent < 0, -exponent <= 40 else { return "\(sign)\(digits)E\(exponent > 0 ? "+" : "")\(exponent)" }
        let padded = String(repeating: "0", count: max(0, -exponent + 1 - digits.count)) + digits
        return sign + padded.dropLast(-exponent) + "." + padded.suffix(-exponent)
    }
}
