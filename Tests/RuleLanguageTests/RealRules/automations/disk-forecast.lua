-- R054: whether the forecast of a disk's daily maxima, seven days ahead from thirty days, comes above 90 percent.
local a = automation { name = "disk-forecast", description = "raises DiskWillFill while a disk is about to" }

local query = "SELECT HOLT_WINTERS(MAX(used_percent), 7, 0) AS used FROM disk WHERE time > now() - 30d GROUP BY time(1d), host, path"

local function largest(rows)
  local most
  for _, row in ipairs(rows) do
    if row.used and (not most or row.used > most) then most = row.used end
  end
  return most
end

a:cron("0 6 * * *", function()
  local series, problem = influx.query(query)
  if not series then return log.warning("the disks have no forecast: " .. problem) end
  for _, disk in ipairs(series) do
    local labels, forecast = { host = disk.tags.host, path = disk.tags.path }, largest(disk.rows)
    if forecast and forecast > 90 then
      alerts.raise {
        alertname = "DiskWillFill", severity = "critical", labels = labels, value = forecast,
        annotations = { summary = string.format("%s of %s comes to %.0f %% within a week", labels.path, labels.host, forecast) },
      }
    elseif forecast then
      alerts.resolve { alertname = "DiskWillFill", labels = labels }
    end
  end
end)
