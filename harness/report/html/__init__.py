"""The report as one HTML page that needs nothing else: results.json -> report.html."""
