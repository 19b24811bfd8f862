import Testing

/// Takes shared servers for the time of a test, as the tests that stop one must not disturb the others.
struct SharedServer: SuiteTrait, TestTrait, TestScoping {
    let names: [String]
    var isRecursive: Bool { true }

    typealias TestScopeProvider = SharedServer
    func scopeProvider(for test: Test, testCase: Test.Case?) -> SharedServer? { testCase == nil ? nil : self }

    @concurrent func provideScope(for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void)
        async throws
    {
        try await Self.taking(names) { try await function() }
    }

    /// Runs `body` with the servers taken; those that the test has already are its own.
    static func taking<Result>(_ names: [String], _ body: () async throws -> Result) async throws -> Result {
        // In the order in which every test takes them, so that no two wait for each other.
        let missing = names.filter { !taken.contains($0) }.sorted()
        for name in missing { await turns.take(name) }
        let result: Swift.Result<Result, any Error>
        do { result = .success(try await $taken.withValue(taken.union(missing)) { try await body() }) } catch { result = .failure(error) }
        for name in missing { await turns.giveBack(name) }
        return try result.get()
    }

    /// What the test that runs has taken.
    @TaskLocal private static var taken: Set<String> = []
    private static let turns = Turns()

    private actor Turns {
        private var waiting: [String: [CheckedContinuation<Void, Never>]] = [:]

        func take(_ name: String) async {
            guard waiting[name] != nil else {
                waiting[name] = []
                return
            }
            await withCheckedContinuation { waiting[name]?.append($0) }
        }

        func giveBack(_ name: String) {
            if waiting[name]?.isEmpty ?? true { waiting[name] = nil } else { waiting[name]?.removeFirst().resume() }
        }
    }
}

extension Trait where Self == SharedServer {
    static var usesRabbitMQ: Self { SharedServer(names: ["rabbitmq"]) }
    static var usesMongoDB: Self { SharedServer(names: ["mongodb"]) }
    static var usesRabbitMQAndMongoDB: Self { SharedServer(names: ["mongodb", "rabbitmq"]) }
    static var usesInfluxDB: Self { SharedServer(names: ["influxdb"]) }
}
