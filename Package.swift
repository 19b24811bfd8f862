// swift-tools-version: 6.2
import PackageDescription

/// Settings of every Swift target of ours.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}

/// A C library of the system, found by pkg-config; its module map and shim header are in Sources/<name>.
func system(_ name: String, pkgConfig: String, apt: String) -> Target {
    .systemLibrary(name: name, pkgConfig: pkgConfig, providers: [.apt([apt])])
}

let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let heap = Target.Dependency.product(name: "HeapModule", package: "swift-collections")

let package = Package(
    name: "nodesphere",
    products: [
        .executable(name: "nodesphere", targets: ["nodesphere"]),
        .library(name: "CEL", targets: ["CEL"]),
        .executable(name: "engine-benchmark", targets: ["EngineBenchmark"]),
        .executable(name: "windows-benchmark", targets: ["WindowsBenchmark"]),
        .executable(name: "cel-benchmark", targets: ["CELBenchmark"]),
        .executable(name: "plugin-benchmark", targets: ["PluginBenchmark"]),
        .executable(name: "lua-benchmark", targets: ["LuaBenchmark"]),
        .executable(name: "ingest-benchmark", targets: ["IngestBenchmark"]),
        .executable(name: "journal-benchmark", targets: ["JournalBenchmark"]),
        .executable(name: "influx-benchmark", targets: ["InfluxBenchmark"]),
        .executable(name: "latency-benchmark", targets: ["LatencyBenchmark"]),
    ],
    dependencies: [
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    ],
    targets: [
        system("CMosquitto", pkgConfig: "libmosquitto", apt: "libmosquitto-dev"),
        system("CRabbitMQ", pkgConfig: "librabbitmq", apt: "librabbitmq-dev"),
        system("CCurl", pkgConfig: "libcurl", apt: "libcurl4-openssl-dev"),
        system("CMongoC", pkgConfig: "libmongoc-1.0", apt: "libmongoc-dev"),
        system("CYAML", pkgConfig: "yaml-0.1", apt: "libyaml-dev"),
        system("CLua", pkgConfig: "lua5.4", apt: "liblua5.4-dev"),
        .target(name: "CLuaSandbox", dependencies: ["CLua"]),
        .target(name: "CMongoStart"),
        .target(name: "CRE2", linkerSettings: [.linkedLibrary("re2")]),

        library("CEL", ["CRE2"]),
        library("RuleEngine", ["CEL", heap]),
        library("RuleLanguage", ["RuleEngine", "CEL", "CYAML"]),
        library("LuaScripting", ["RuleEngine", "CEL", "CLuaSandbox", heap, logging]),
        .systemLibrary(name: "CNodeSpherePlugin"),
        library("NativePlugins", ["RuleEngine", "CEL", "CNodeSpherePlugin"]),
        library("MQTTTelemetry", ["RuleEngine", "CMosquitto", logging, lifecycle]),
        library("AMQPNotifications", ["RuleEngine", "CRabbitMQ", logging, lifecycle]),
        library("MongoState", ["RuleEngine", "CMongoC", "CMongoStart", logging, lifecycle]),
        library("DurableFiles", []),
        library("Threads", []),
        library(
            "EmbeddedState", ["RuleEngine", "DurableFiles", "Threads", .product(name: "GRDB", package: "GRDB.swift"), logging, lifecycle]),
        library("OutgoingHTTP", ["RuleEngine", "CCurl"]),
        library("NotificationChannels", ["RuleEngine", "OutgoingHTTP", logging, lifecycle]),
        library("InfluxWindows", ["RuleEngine", "OutgoingHTTP", "DurableFiles", "Threads", logging, lifecycle]),
        library("RESTInterface", ["RuleEngine", .product(name: "Hummingbird", package: "hummingbird"), logging, lifecycle]),
        .executableTarget(
            name: "nodesphere",
            dependencies: [
                "CEL", "RuleEngine", "RuleLanguage", "LuaScripting", "NativePlugins", "MQTTTelemetry", "AMQPNotifications",
                "MongoState", "EmbeddedState", "DurableFiles", "Threads", "NotificationChannels", "OutgoingHTTP", "InfluxWindows",
                "RESTInterface",
                logging, lifecycle,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: settings),
        library("TestSupport", ["RuleEngine"]),

        .executableTarget(name: "CELBenchmark", dependencies: ["CEL"], path: "Benchmarks/CELBenchmark", swiftSettings: settings),
        .executableTarget(
            name: "WindowsBenchmark", dependencies: ["RuleEngine"], path: "Benchmarks/WindowsBenchmark", swiftSettings: settings),
        .executableTarget(
            name: "PluginBenchmark", dependencies: ["LuaScripting", "RuleEngine", "RuleLanguage", logging],
            path: "Benchmarks/PluginBenchmark",
            swiftSettings: settings),
        .target(name: "CBareLua", dependencies: ["CLua"], path: "Benchmarks/CBareLua"),
        .executableTarget(
            name: "LuaBenchmark",
            dependencies: ["LuaScripting", "RuleEngine", "RuleLanguage", "BenchmarkHarness", "CBareLua", logging],
            path: "Benchmarks/LuaBenchmark", swiftSettings: settings),
        .target(name: "BenchmarkHarness", path: "Benchmarks/BenchmarkHarness", swiftSettings: settings),
        .executableTarget(
            name: "IngestBenchmark", dependencies: ["BenchmarkHarness"], path: "Benchmarks/IngestBenchmark", swiftSettings: settings),
        .executableTarget(
            name: "LatencyBenchmark", dependencies: ["BenchmarkHarness"], path: "Benchmarks/LatencyBenchmark", swiftSettings: settings),
        .executableTarget(
            name: "JournalBenchmark", dependencies: ["RuleEngine", "RuleLanguage", "EmbeddedState", "BenchmarkHarness", logging],
            path: "Benchmarks/JournalBenchmark", swiftSettings: settings),
        .executableTarget(
            name: "InfluxBenchmark",
            dependencies: ["RuleEngine", "RuleLanguage", "InfluxWindows", "EmbeddedState", "BenchmarkHarness", "CCurl", logging],
            path: "Benchmarks/InfluxBenchmark", swiftSettings: settings),
        .target(name: "CAllocations", path: "Benchmarks/CAllocations"),
        .executableTarget(
            name: "EngineBenchmark", dependencies: ["RuleEngine", "RuleLanguage", "CEL", "CAllocations"],
            path: "Benchmarks/EngineBenchmark", swiftSettings: settings),

        tests("CELTests", ["CEL", "TestSupport"], exclude: ["Conformance"]),
        tests("RuleEngineTests", ["RuleEngine", "RuleLanguage", "CEL", "TestSupport"], exclude: ["Data"]),
        tests(
            "RuleLanguageTests", ["RuleLanguage", "RuleEngine", "CEL", "TestSupport"],
            exclude: [
                "Golden", "GoldenNotifications", "GoldenPlans", "GoldenPlugins", "RealRules", "RuleTests/Golden", "RuleTests/Influx",
                "RuleTests/Mistakes",
            ]),
        tests("EmbeddedStateTests", ["EmbeddedState", "DurableFiles", "Threads", "RuleEngine", "TestSupport", logging]),
        tests("InfluxWindowsTests", ["InfluxWindows", "OutgoingHTTP", "RuleEngine", "TestSupport", logging]),
        tests("LuaScriptingTests", ["LuaScripting", "RuleEngine", "RuleLanguage", "CEL", "CLua", "TestSupport", logging]),
        tests("NativePluginsTests", ["NativePlugins", "RuleEngine", "RuleLanguage", "CEL"]),
        tests(
            "NotificationChannelsTests",
            ["NotificationChannels", "OutgoingHTTP", "LuaScripting", "RuleEngine", "RuleLanguage", "TestSupport", logging]),
        tests(
            "RESTInterfaceTests",
            [
                "RESTInterface", "RuleEngine", .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdTesting", package: "hummingbird"), logging, lifecycle,
            ]),
        tests(
            "IntegrationTests",
            [
                "RuleEngine", "RuleLanguage", "MQTTTelemetry", "AMQPNotifications", "MongoState", "EmbeddedState", "NotificationChannels",
                "InfluxWindows", "TestSupport", logging,
            ], exclude: ["Data", "Golden"]),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)
