import Foundation
import Logging
import RuleEngine
import RuleLanguage

/// What is wrong with plugins: their manifests, their code, their tests' form.
struct PluginCheck {
    private(set) var diagnostics: [Diagnostic] = []
    private(set) var sources: [RuleLoader.Source] = []
    private(set) var count = 0

    mutating func add(_ plugins: InstalledPlugins) {
        diagnostics += plugins.diagnostics
        sources += plugins.sources
        count += plugins.set.catalog.manifests.count + plugins.notGranted.count
    }

    mutating func add(folder: String, _ configuration: ServerConfiguration) {
        let logger = Logger(label: "plugins") { _ in SwiftLogNoOpLogHandler() }
        let plugins = InstalledPlugins.load(configuration, folder: folder, http: NoNetwork(), publisher: nil, logger: logger)
        add(plugins)
        for manifest in plugins.set.catalog.manifests { addTests(of: manifest, plugins) }
    }

    private mutating func addTests(of manifest: PluginManifest, _ plugins: InstalledPlugins) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: manifest.folder)) ?? []
        for name in names.sorted() where RuleTestFile.isTestFile(name) {
            let (source, found) = RuleFolder.readFile("\(manifest.folder)/\(name)")
            diagnostics += found
            guard let source else { continue }
            sources.append(source)
            diagnostics += PluginTestFileReader(manifest: manifest, environment: plugins.environment).read(source).diagnostics
        }
    }
}
