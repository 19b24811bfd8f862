/// A size as configurations write it: `512MiB`, `2GiB`, `10GB`, or a number of bytes.
struct ByteSize {
    let bytes: Int64

    private static let units: [(suffix: String, factor: Int64)] = [
        ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("kB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000), ("B", 1),
    ]

    init?(_ text: String) {
        let unit = Self.units.first { text.hasSuffix($0.suffix) } ?? ("", 1)
        guard let number = Int64(text.dropLast(unit.suffix.utf8.count)), number > 0,
            case let (bytes, overflow) = number.multipliedReportingOverflow(by: unit.factor), !overflow
        else { return nil }
        self.bytes = bytes
    }
}
